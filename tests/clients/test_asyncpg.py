"""asyncpg, which speaks binary only and looks types up in the catalogue by itself."""
import asyncio
import datetime
import decimal
import io
import json
import unittest
import uuid

import asyncpg
import numpy as np
from pgvector import Vector
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

    # Their dimensions are known only once they are bound.
    async def test_arrays_of_several_dimensions(self):
        plane, space = [[1, 2], [3, 4]], [[["a"], [None]]]
        statement = await self.conn.prepare("SELECT $1::int4[], array_ndims($1::int4[]), ($1::int4[])[2][1], 3 = ANY ($1)")
        self.assertEqual(tuple(await statement.fetchrow(plane)), (plane, 2, 3, True))
        self.assertEqual(tuple(await statement.fetchrow([7])), ([7], 1, None, False))
        self.assertEqual(await self.conn.fetchval("SELECT $1::text[]", space), space)
        await self.conn.execute("CREATE TEMP TABLE grids (id int, grid int[][])")
        await self.conn.executemany("INSERT INTO grids VALUES ($1, $2)", [(1, plane), (2, []), (3, None)])
        await self.conn.copy_records_to_table("grids", records=[(4, [[5], [6]])])
        got = await self.conn.fetch("SELECT grid FROM grids ORDER BY id")
        self.assertEqual([row["grid"] for row in got], [plane, [], None, [[5], [6]]])
        self.assertEqual(await self.conn.fetchval("SELECT id FROM grids WHERE grid = $1", plane), 1)
        with self.assertRaises(asyncpg.FeatureNotSupportedError):
            await self.conn.execute("INSERT INTO grids VALUES ($1, $2)", 5, [1, 2])

    async def test_types_and_errors(self):
        self.assertEqual(await self.conn.fetchval("SELECT $1::jsonb", '{"a": 1}'), '{"a": 1}')
        self.assertEqual(await self.conn.fetchval("SELECT $1::text", "x"), "x")
        with self.assertRaises(asyncpg.UndefinedTableError):
            await self.conn.fetch("SELECT * FROM nowhere")
        self.assertEqual(await self.conn.fetchval("SELECT 1"), 1)

    async def test_prepared_statements(self):
        statement = await self.conn.prepare(
            "SELECT id, tag, embedding FROM async_items WHERE tag = $2 ORDER BY embedding <-> $1 LIMIT $3")
        self.assertEqual([ty.name for ty in statement.get_parameters()], ["vector", "text", "int8"])
        self.assertEqual([(a.name, a.type.name) for a in statement.get_attributes()],
                         [("id", "int8"), ("tag", "text"), ("embedding", "vector")])
        await self.conn.executemany("INSERT INTO async_items (tag, embedding) VALUES ($1, $2)",
                                    [("ab"[i % 2], np.array([i, 0, 0])) for i in range(40)])
        for k in (1, 5):
            self.assertEqual(len(await statement.fetch(np.array([3, 0, 0]), "a", k)), k)
        async with self.conn.transaction():
            cursor = await statement.cursor(np.array([3, 0, 0]), "a", 10)
            self.assertEqual(len(await cursor.fetch(4)), 4)
            self.assertEqual(len(await cursor.fetch(9)), 6)

    async def test_types_it_looks_up(self):
        values = await self.conn.fetchrow(
            "SELECT $1::int8[] AS a, $2::text[] AS b, $3::numeric[] AS c, $4::uuid[] AS d, $5::timestamptz[] AS e, "
            "$6::float8[] AS f, $7::jsonb[] AS g, $8::interval AS h, $9::date AS i",
            [1], ["x"], [decimal.Decimal("1.50")], [uuid.UUID(int=5)],
            [datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc)], [1.5], ["{}"], datetime.timedelta(days=1),
            datetime.date(2024, 2, 29))
        self.assertEqual(list(values), [
            [1], ["x"], [decimal.Decimal("1.50")], [uuid.UUID(int=5)],
            [datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc)], [1.5], ["{}"], datetime.timedelta(days=1),
            datetime.date(2024, 2, 29)])
        await self.conn.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        self.assertEqual(await self.conn.fetchval("SELECT $1::jsonb", {"a": [1]}), {"a": [1]})
        self.assertEqual(await self.conn.fetchval("SELECT array_agg(embedding) FROM async_items"), None)
        row = await self.conn.fetchval("SELECT $1::vector[]", [Vector([1, 2, 3])])
        self.assertEqual(row[0].to_list(), [1, 2, 3])

    async def test_ranges(self):
        utc = datetime.timezone.utc
        values = [asyncpg.Range(1, 5), asyncpg.Range(decimal.Decimal("0.5"), None), asyncpg.Range(empty=True),
                  asyncpg.Range(datetime.datetime(2024, 1, 1, tzinfo=utc), None), [asyncpg.Range(None, 3)],
                  asyncpg.Range(datetime.date(2024, 2, 28), datetime.date(2024, 2, 29), upper_inc=True)]
        row = await self.conn.fetchrow(
            "SELECT $1::int4range, $2::numrange, $3::int8range, $4::tstzrange, $5::int4range[], $6::daterange", *values)
        values[5] = asyncpg.Range(datetime.date(2024, 2, 28), datetime.date(2024, 3, 1))
        self.assertEqual(list(row), values)
        await self.conn.execute("CREATE TEMPORARY TABLE stays (id int, days daterange)")
        await self.conn.copy_records_to_table(
            "stays", records=[(i, asyncpg.Range(datetime.date(2024, 1, 1), datetime.date(2024, 1, 1 + i))) for i in range(5)])
        found = await self.conn.fetch("SELECT id FROM stays WHERE days @> $1::date ORDER BY id", datetime.date(2024, 1, 3))
        self.assertEqual([row["id"] for row in found], [3, 4])
        found = await self.conn.fetch("SELECT id FROM stays WHERE days && $1 ORDER BY id",
                                      asyncpg.Range(datetime.date(2024, 1, 4), None))
        self.assertEqual([row["id"] for row in found], [4])

    async def test_savepoints_copy_and_upsert(self):
        async with self.conn.transaction():
            await self.conn.execute("INSERT INTO async_items (id, tag) VALUES (1, 'kept')")
            with self.assertRaises(asyncpg.UniqueViolationError) as caught:
                async with self.conn.transaction():
                    await self.conn.execute("INSERT INTO async_items (id, tag) VALUES (2, 'lost')")
                    await self.conn.execute("INSERT INTO async_items (id, tag) VALUES (1, 'twice')")
            self.assertEqual((caught.exception.sqlstate, caught.exception.constraint_name), ("23505", "async_items_pkey"))
        done = await self.conn.execute(
            "INSERT INTO async_items (id, tag) VALUES (1, 'new'), (2, 'new') ON CONFLICT (id) DO UPDATE SET tag = excluded.tag")
        self.assertEqual(done, "INSERT 0 2")
        self.assertEqual(await self.conn.execute("UPDATE async_items SET tag = $1 WHERE id = $2", "x", 2), "UPDATE 1")
        out = io.BytesIO()
        await self.conn.copy_from_query("SELECT id, tag FROM async_items WHERE id < $1 ORDER BY id", 10, output=out, format="csv")
        self.assertEqual(out.getvalue(), b"1,new\n2,x\n")
        done = await self.conn.copy_to_table("async_items", source=io.BytesIO(b"7,seven\n"), format="csv", columns=["id", "tag"])
        self.assertEqual(done, "COPY 1")
        out = io.BytesIO()
        await self.conn.copy_from_table("async_items", output=out, columns=["tag"])
        self.assertEqual(sorted(out.getvalue().split()), [b"new", b"seven", b"x"])
        self.assertEqual(await self.conn.execute("DELETE FROM async_items"), "DELETE 3")
        rows = await self.conn.fetchmany("INSERT INTO async_items (tag) VALUES ($1) RETURNING id", [("p",), ("q",)])
        self.assertEqual(len(rows), 2)

    async def test_a_pool(self):
        async with asyncpg.create_pool(server.url(), min_size=2, max_size=4, init=register_vector) as pool:
            got = await asyncio.gather(*(pool.fetchval("SELECT $1::int4 * 2", i) for i in range(20)))
        self.assertEqual(got, [i * 2 for i in range(20)])

    async def test_isolation_and_timeouts(self):
        async with self.conn.transaction(isolation="repeatable_read", readonly=True):
            self.assertEqual(await self.conn.fetchval("SHOW transaction_isolation"), "repeatable read")
            with self.assertRaises(asyncpg.ReadOnlySQLTransactionError):
                async with self.conn.transaction():
                    await self.conn.execute("INSERT INTO async_items (tag) VALUES ('x')")
        with self.assertRaises(asyncio.TimeoutError):
            await self.conn.fetch("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b", timeout=0.2)
        self.assertEqual(await self.conn.fetchval("SELECT 1"), 1)
        self.assertGreaterEqual(self.conn.get_server_version().major, 16)


if __name__ == "__main__":
    unittest.main()
