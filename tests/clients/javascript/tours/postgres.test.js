// postgres.js: tagged templates, pipelining, cursors, COPY, savepoints. It describes every statement first.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, before, test } from 'node:test';
import postgres from 'postgres';
import pgvector from 'pgvector';
import { url } from './server.js';

const sql = postgres(url, { max: 2, onnotice: () => {} });

before(async () => {
  await sql`CREATE EXTENSION IF NOT EXISTS vector`;
  await sql`DROP TABLE IF EXISTS js_items`;
  await sql`CREATE TABLE js_items (id bigserial PRIMARY KEY, kind text, tags text[], about jsonb, at timestamptz, embedding vector(3))`;
});

after(async () => {
  await sql`DROP TABLE js_items`;
  await sql.end();
});

test('insert many and search', async () => {
  const rows = [...Array(40).keys()].map((i) => ({
    kind: 'ab'[i % 2], tags: ['x', `${i}`], about: { n: i }, at: new Date(i * 1000), embedding: pgvector.toSql([i, 0, 0]) }));
  await sql`INSERT INTO js_items ${sql(rows)}`;
  const found = await sql`
    SELECT about, tags, at, embedding FROM js_items WHERE kind = ${'a'} AND id > ${0} ORDER BY embedding <-> ${pgvector.toSql([4.1, 0, 0])} LIMIT 2`;
  assert.deepEqual(found.map((row) => row.about.n), [4, 6]);
  assert.deepEqual([found[0].tags, found[0].at, pgvector.fromSql(found[0].embedding)], [['x', '4'], new Date(4000), [4, 0, 0]]);
  const some = await sql`SELECT count(*)::int4 AS n FROM js_items WHERE id IN ${sql([1, 2, 3])}`;
  assert.equal(some[0].n, 3);
  const array = await sql`SELECT count(*)::int4 AS n FROM js_items WHERE id = ANY(${[1, 2]})`;
  assert.equal(array[0].n, 2);
  const updated = await sql`UPDATE js_items SET ${sql({ kind: 'c', about: { z: 1 } })} WHERE id = ${1} RETURNING kind, about`;
  assert.deepEqual([...updated], [{ kind: 'c', about: { z: 1 } }]);
  const gone = await sql`DELETE FROM js_items WHERE id < ${3}`;
  assert.deepEqual([gone.count, gone.command], [2, 'DELETE']);
});

test('transactions and savepoints', async () => {
  await sql.begin(async (sql) => {
    await sql`INSERT INTO js_items (kind) VALUES ('kept')`;
    await sql.savepoint(async (sql) => {
      await sql`INSERT INTO js_items (kind) VALUES ('lost')`;
      throw new Error('back');
    }).catch((error) => assert.equal(error.message, 'back'));
  });
  const rows = await sql`SELECT kind FROM js_items WHERE kind IN ('kept', 'lost')`;
  assert.deepEqual([...rows], [{ kind: 'kept' }]);
  const [one, two] = await sql.begin((sql) => [sql`SELECT 1 AS a`, sql`SELECT 2 AS a`]);
  assert.deepEqual([one[0].a, two[0].a], [1, 2]);
});

test('cursors, describe, unsafe, simple', async () => {
  let seen = 0;
  await sql`SELECT i FROM generate_series(1, 95) AS g(i)`.cursor(10, (rows) => { seen += rows.length; });
  assert.equal(seen, 95);
  const { string, columns, types } = await sql`SELECT id, embedding FROM js_items WHERE kind = ${'a'}`.describe();
  assert.ok(string.includes('$1'));
  assert.deepEqual([columns.map((column) => column.name), types], [['id', 'embedding'], [25]]);
  const both = await sql.unsafe('SELECT 1 AS a; SELECT 2 AS b');
  assert.deepEqual(both.map((rows) => [...rows]), [[{ a: 1 }], [{ b: 2 }]]);
  const values = await sql`SELECT 1, 'x'`.values();
  assert.deepEqual([...values], [[1, 'x']]);
});

test('COPY both ways', async () => {
  await sql`TRUNCATE js_items RESTART IDENTITY`;
  await pipeline(Readable.from(['a\t[1,2,3]\n', 'b\t\\N\n']), await sql`COPY js_items (kind, embedding) FROM STDIN`.writable());
  let out = '';
  for await (const chunk of await sql`COPY js_items (id, embedding) TO STDOUT`.readable()) out += chunk;
  assert.equal(out, '1\t[1,2,3]\n2\t\\N\n');
});

test('errors', async () => {
  await assert.rejects(sql`SELECT * FROM nowhere`, { code: '42P01', severity: 'ERROR' });
  await assert.rejects(sql`INSERT INTO js_items (id) VALUES (1)`, { code: '23505', constraint_name: 'js_items_pkey' });
  await assert.rejects(sql`INSERT INTO js_items (embedding) VALUES (${'[1,2]'})`, { code: '22000' });
});

test('types it fetches', async () => {
  const [row] = await sql`SELECT ${sql.array([1, 2])}::int4[] AS a, ${true}::bool AS b, ${sql.json({ x: [1] })}::jsonb AS c, ${new Date(0)}::date AS d,
    ${'12.25'}::numeric AS e, ARRAY['a', 'b c'] AS f`;
  assert.deepEqual(row, { a: [1, 2], b: true, c: { x: [1] }, d: new Date(0), e: '12.25', f: ['a', 'b c'] });
});

test('listen, a cursor that is closed, what it infers of parameters', async () => {
  const heard = [];
  let both;
  const done = new Promise((resolve) => { both = resolve; });
  const { unlisten } = await sql.listen('js_channel', (payload) => heard.push(payload) === 2 && both());
  await sql.notify('js_channel', 'one');
  await sql.notify('js_channel', 'two');
  await done;
  await unlisten();
  assert.deepEqual(heard, ['one', 'two']);
  const seen = [];
  await sql`SELECT i FROM generate_series(1, 7) AS g(i)`.cursor(2, (rows) => { seen.push(rows[0].i); return rows[0].i > 2 ? sql.CLOSE : undefined; });
  assert.deepEqual(seen, [1, 3]);
  const { types, columns } = await sql`INSERT INTO js_items (kind, tags, about, at) VALUES (${'x'}, ${['y']}, ${{}}, ${new Date()}) RETURNING id, at`.describe();
  assert.deepEqual([types, columns.map((column) => column.type)], [[25, 1009, 3802, 1184], [20, 1184]]);
  await assert.rejects(sql.begin('read only', (sql) => sql`INSERT INTO js_items (kind) VALUES ('x')`), { code: '25006' });
  const slow = sql`SELECT pg_sleep(5)`;
  slow.execute();
  setTimeout(() => slow.cancel(), 100);
  await assert.rejects(slow, { code: '57014' });
});
