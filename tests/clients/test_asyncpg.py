"""asyncpg, which speaks binary only and looks types up in the catalogue by itself."""
import unittest

import asyncpg
import numpy as np
from pgvector.asyncpg import register_vector

import server


class Asyncpg(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.conn = await asyncpg.connect(server.url())
        await self.conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
        await self.conn.execute("DROP TABLE IF EXISTS async_items")
        await self.conn.execute("CREATE TABLE async_items (id bigserial PRIMARY KEY, tag text, embedding vector(3))")
        await register_vector(self.conn)

    async def asyncTearDown(self):
        await self.conn.close()

    async def test_vectors_filters_and_copy(self):
        rows = [("even" if i % 2 == 0 else "odd", np.array([i, 0, 1])) for i in range(100)]
        await self.conn.executemany("INSERT INTO async_items (tag, embedding) VALUES ($1, $2)", rows[:50])
        await self.conn.copy_records_to_table("async_items", records=rows[50:], columns=["tag", "embedding"])
        await self.conn.execute("CREATE INDEX ON async_items USING hnsw (embedding vector_l2_ops)")
        got = await self.conn.fetch(
            "SELECT id, embedding FROM async_items WHERE tag = $2 ORDER BY embedding <-> $1 LIMIT 3",
            np.array([60, 0, 1]), "even")
        self.assertEqual(got[0]["embedding"].to_list(), [60, 0, 1])
        self.assertEqual(len(got), 3)

    async def test_transactions_and_cursors(self):
        with self.assertRaises(ZeroDivisionError):
            async with self.conn.transaction():
                await self.conn.execute("INSERT INTO async_items (tag) VALUES ('lost')")
                raise ZeroDivisionError
        self.assertEqual(await self.conn.fetchval("SELECT count(*) FROM async_items"), 0)
        async with self.conn.transaction():
            values = [row["i"] async for row in self.conn.cursor("SELECT i FROM generate_series(1, 120) AS g(i)")]
        self.assertEqual(values, list(range(1, 121)))

    # asyncpg asks the catalogue about every array type but text[], by a recursive query.
    async def test_arrays_of_numbers(self):
        self.assertEqual(await self.conn.fetchval("SELECT $1::int4[]", [1, 2, 3]), [1, 2, 3])

    async def test_types_and_errors(self):
        self.assertEqual(await self.conn.fetchval("SELECT $1::jsonb", '{"a": 1}'), '{"a": 1}')
        self.assertEqual(await self.conn.fetchval("SELECT $1::text", "x"), "x")
        with self.assertRaises(asyncpg.UndefinedTableError):
            await self.conn.fetch("SELECT * FROM nowhere")
        self.assertEqual(await self.conn.fetchval("SELECT 1"), 1)


if __name__ == "__main__":
    unittest.main()
