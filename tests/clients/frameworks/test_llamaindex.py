"""LlamaIndex's PGVectorStore: dense search, metadata filters, deletes, synchronous and asynchronous."""
import os
import sys
import unittest

from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (FilterCondition, FilterOperator, MetadataFilter, MetadataFilters,
                                                  VectorStoreQuery, VectorStoreQueryMode)
from llama_index.vector_stores.postgres import PGVectorStore
from sqlalchemy import text

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import server  # noqa: E402


def nodes():
    made = []
    for i in range(40):
        node = TextNode(id_=f"node{i}", text=f"text {i}", embedding=[float(i), 1.0, 0.0],
                        metadata={"n": i, "kind": "ab"[i % 2], "tags": ["x", f"t{i % 5}"]})
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=f"doc{i % 4}")
        made.append(node)
    return made


def make(**options):
    address = server.address()
    return PGVectorStore.from_params(host=address["host"], port=str(address["port"]), database=address["database"],
                                     user=address["user"], password="unused", table_name="llama", embed_dim=3, **options)


def ask(filters=None, k=5, mode=VectorStoreQueryMode.DEFAULT, text=None):
    return VectorStoreQuery(query_embedding=[7.0, 1.0, 0.0], similarity_top_k=k, filters=filters, mode=mode, query_str=text)


class Llama(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        server.skip_if_refused("CREATE TABLE a (j jsonb); CREATE INDEX ON a ((j ->> 'ref_doc_id'))")

    def setUp(self):
        self.store = make(use_jsonb=True, hnsw_kwargs={"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_ef_search": 40,
                                                       "hnsw_dist_method": "vector_cosine_ops"})
        self.store.add(nodes())

    async def asyncTearDown(self):
        self.store.clear()
        with self.store._engine.begin() as conn:
            conn.execute(text("DROP TABLE data_llama"))
        await self.store.close()

    def test_filters(self):
        self.assertEqual(self.store.query(ask()).ids[0], "node7")
        for op, key, value, holds in [
            (FilterOperator.EQ, "kind", "a", lambda m: m["kind"] == "a"),
            (FilterOperator.GT, "n", 30, lambda m: m["n"] > 30),
            (FilterOperator.LTE, "n", 3, lambda m: m["n"] <= 3),
            (FilterOperator.NE, "kind", "a", lambda m: m["kind"] != "a"),
            (FilterOperator.IN, "kind", ["a", "c"], lambda m: m["kind"] == "a"),
            (FilterOperator.NIN, "kind", ["a", "c"], lambda m: m["kind"] == "b"),
            (FilterOperator.CONTAINS, "tags", "t3", lambda m: "t3" in m["tags"]),
        ]:
            with self.subTest(op):
                filters = MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=op)])
                found = self.store.query(ask(filters, 50)).nodes
                self.assertEqual(sorted(n.metadata["n"] for n in found),
                                 [n.metadata["n"] for n in nodes() if holds(n.metadata)])
        both = MetadataFilters(condition=FilterCondition.OR, filters=[
            MetadataFilter(key="n", value=1), MetadataFilter(key="n", value=38, operator=FilterOperator.GT)])
        self.assertEqual(set(self.store.query(ask(both, 50)).ids), {"node1", "node39"})

    def test_deletes(self):
        self.store.delete("doc1")
        self.assertEqual(len(self.store.query(ask(k=100)).ids), 30)
        self.store.delete_nodes(["node0"])
        self.assertEqual(len(self.store.get_nodes(["node2", "node4"])) if hasattr(self.store, "get_nodes") else 2, 2)
        self.assertEqual(len(self.store.query(ask(k=100)).ids), 29)

    async def test_asynchronous(self):
        await self.store.async_add([TextNode(id_="late", text="late", embedding=[7.0, 1.0, 0.0])])
        found = await self.store.aquery(ask(k=2))
        self.assertEqual(set(found.ids), {"node7", "late"})


class Hybrid(unittest.TestCase):
    """Full text beside vectors: tsvector as a generated column, and a GIN index."""

    @classmethod
    def setUpClass(cls):
        server.skip_if_refused("CREATE TABLE a (t text, s tsvector GENERATED ALWAYS AS (to_tsvector('english', t)) STORED);"
                               "CREATE INDEX ON a USING gin (s); CREATE TABLE b (j jsonb);"
                               "CREATE INDEX ON b ((j ->> 'ref_doc_id'))")

    def test_sparse_and_dense(self):
        store = make(hybrid_search=True, text_search_config="english")
        store.add(nodes())
        try:
            found = store.query(ask(mode=VectorStoreQueryMode.HYBRID, text="text 7"))
            self.assertIn("node7", found.ids)
        finally:
            with store._engine.begin() as conn:
                    conn.execute(text("DROP TABLE data_llama"))


if __name__ == "__main__":
    unittest.main()
