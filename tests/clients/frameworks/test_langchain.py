"""LangChain's PGVector and its successor PGVectorStore: tables made by it, filters over metadata, deletes."""
import os
import sys
import unittest
import uuid

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_postgres import PGEngine, PGVector, PGVectorStore
from langchain_postgres.v2.indexes import DistanceStrategy, HNSWIndex

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import server  # noqa: E402

EMBEDDING = DeterministicFakeEmbedding(size=32)


def documents():
    return [Document(page_content=f"text {i}", metadata={"n": i, "kind": "ab"[i % 2], "tag": f"t{i % 5}"}) for i in range(40)]


class LangChain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        server.skip_if_refused("CREATE TABLE a (j jsonb); CREATE INDEX ON a USING gin (j jsonb_path_ops)")

    def setUp(self):
        self.store = PGVector(embeddings=EMBEDDING, collection_name="tour", use_jsonb=True, pre_delete_collection=True,
                              connection=server.url().replace("postgres://", "postgresql+psycopg://"))
        self.ids = self.store.add_documents(documents(), ids=[f"id{i}" for i in range(40)])

    def tearDown(self):
        self.store.delete_collection()
        self.store.drop_tables()

    def test_search_with_filters(self):
        server.skip_if_refused("SELECT '$.a'::jsonpath")
        found = self.store.similarity_search("text 7", k=3)
        self.assertEqual((found[0].page_content, found[0].metadata["n"], len(found)), ("text 7", 7, 3))
        for condition, holds in [
            ({"kind": "a"}, lambda m: m["kind"] == "a"),
            ({"n": {"$lt": 4}}, lambda m: m["n"] < 4),
            ({"n": {"$between": (3, 6)}}, lambda m: 3 <= m["n"] <= 6),
            ({"tag": {"$in": ["t1", "t2"]}}, lambda m: m["tag"] in ("t1", "t2")),
            ({"tag": {"$nin": ["t1", "t2"]}}, lambda m: m["tag"] not in ("t1", "t2")),
            ({"tag": {"$ilike": "T3"}}, lambda m: m["tag"] == "t3"),
            ({"$or": [{"n": 3}, {"n": {"$gte": 38}}]}, lambda m: m["n"] == 3 or m["n"] >= 38),
            ({"$and": [{"kind": {"$ne": "a"}}, {"n": {"$gt": 30}}]}, lambda m: m["kind"] == "b" and m["n"] > 30),
            ({"n": {"$exists": True}}, lambda m: True),
        ]:
            with self.subTest(condition):
                found = self.store.similarity_search("anything", k=50, filter=condition)
                expected = sorted(d.metadata["n"] for d in documents() if holds(d.metadata))
                self.assertEqual(sorted(d.metadata["n"] for d in found), expected)

    def test_scores_and_changes(self):
        (document, score), *_ = self.store.similarity_search_with_score("text 3", k=2)
        self.assertEqual(document.page_content, "text 3")
        self.assertAlmostEqual(score, 0, places=5)
        self.assertEqual(len(self.store.max_marginal_relevance_search("text 3", k=4, fetch_k=10)), 4)
        self.store.add_documents([Document(page_content="other", metadata={"n": 3})], ids=["id3"])
        self.assertEqual(self.store.get_by_ids(["id3"])[0].page_content, "other")
        self.store.delete(["id3", "id4"])
        self.assertEqual(len(self.store.similarity_search("x", k=100)), 38)


class Successor(unittest.TestCase):
    def test_a_tour(self):
        engine = PGEngine.from_connection_string(server.url().replace("postgres://", "postgresql+asyncpg://"))
        engine.drop_table("chain_items")
        engine.init_vectorstore_table("chain_items", 32, overwrite_existing=True)
        store = PGVectorStore.create_sync(engine=engine, table_name="chain_items", embedding_service=EMBEDDING)
        ids = [str(uuid.UUID(int=i + 1)) for i in range(40)]
        store.add_documents(documents(), ids=ids)
        self.assertEqual(store.similarity_search("text 7", k=3)[0].page_content, "text 7")
        store.apply_vector_index(HNSWIndex(name="chain_hnsw", distance_strategy=DistanceStrategy.COSINE_DISTANCE))
        self.assertTrue(store.is_valid_index("chain_hnsw"))
        self.assertEqual(store.similarity_search("text 9", k=1)[0].page_content, "text 9")
        store.delete(ids[:5])
        self.assertEqual(len(store.similarity_search("x", k=100)), 35)
        store.drop_vector_index("chain_hnsw")
        engine.drop_table("chain_items")
        engine._run_as_sync(engine.close())


if __name__ == "__main__":
    unittest.main()
