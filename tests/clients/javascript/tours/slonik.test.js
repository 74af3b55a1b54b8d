// Slonik: unnest, arrays, transactions.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { url } from './server.js';

test('slonik', async () => {
  const { createPool, sql } = await import('slonik'); const { z } = await import('zod');
  const pool = await createPool(url);
  try {
    await pool.query(sql.unsafe`DROP TABLE IF EXISTS sl`); await pool.query(sql.unsafe`CREATE TABLE sl (id int PRIMARY KEY, name text, at timestamptz)`);
    await pool.query(sql.unsafe`INSERT INTO sl (id, name) SELECT * FROM ${sql.unnest([[1, 'a'], [2, 'b']], ['int4', 'text'])}`);
    assert.deepEqual(await pool.anyFirst(sql.type(z.object({ name: z.string() }))`SELECT name FROM sl WHERE id = ANY(${sql.array([1, 2], 'int4')}) ORDER BY id`), ['a', 'b']);
    await pool.transaction(async (t) => { await t.query(sql.unsafe`UPDATE sl SET at = ${sql.timestamp(new Date())}`); });
  } finally { await pool.end(); }
});
