// node-postgres: parameters, prepared statements, cursors, streams, COPY, pools, errors.
import assert from 'node:assert/strict';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import pg from 'pg';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';
import { from, to } from 'pg-copy-streams';
import pgvector from 'pgvector/pg';
import { url } from './server.js';

const client = new pg.Client({ connectionString: url });

before(async () => {
  await client.connect();
  await client.query('CREATE EXTENSION IF NOT EXISTS vector');
  await pgvector.registerTypes(client);
  await client.query('DROP TABLE IF EXISTS node_items');
  await client.query('CREATE TABLE node_items (id bigserial PRIMARY KEY, kind text NOT NULL, about jsonb, embedding vector(3))');
});

after(async () => {
  await client.query('DROP TABLE node_items');
  await client.end();
});

test('insert, search with a filter, update, delete', async () => {
  for (let i = 0; i < 40; i++) {
    await client.query('INSERT INTO node_items (kind, about, embedding) VALUES ($1, $2, $3)',
      ['ab'[i % 2], { n: i }, pgvector.toSql([i, 0, 0])]);
  }
  await client.query('CREATE INDEX ON node_items USING hnsw (embedding vector_l2_ops)');
  const found = await client.query(
    'SELECT id, about, embedding FROM node_items WHERE kind = $1 ORDER BY embedding <-> $2 LIMIT $3', ['a', pgvector.toSql([4.1, 0, 0]), 2]);
  assert.deepEqual(found.rows.map((row) => row.about.n), [4, 6]);
  assert.deepEqual(found.rows[0].embedding, [4, 0, 0]);
  assert.deepEqual(found.fields.map((field) => [field.name, field.dataTypeID > 0]), [['id', true], ['about', true], ['embedding', true]]);
  const updated = await client.query("UPDATE node_items SET kind = 'c' WHERE id = ANY($1) RETURNING id", [[1, 2]]);
  assert.deepEqual([updated.rowCount, updated.command], [2, 'UPDATE']);
  assert.equal((await client.query("DELETE FROM node_items WHERE kind = 'c'")).rowCount, 2);
});

test('named statements', async () => {
  const text = 'SELECT $1::int4 + 1 AS next, $2::timestamptz AS at, $3::bool AS ok, $4::text[] AS list';
  for (let i = 0; i < 3; i++) {
    const { rows } = await client.query({ name: 'next', text, values: [i, new Date(0), true, ['x', 'y "z"', null]] });
    assert.deepEqual(rows, [{ next: i + 1, at: new Date(0), ok: true, list: ['x', 'y "z"', null] }]);
  }
});

test('cursors and streams', async () => {
  const cursor = client.query(new Cursor('SELECT i FROM generate_series(1, $1::int4) AS g(i)', [250]));
  assert.equal((await cursor.read(100)).length, 100);
  assert.equal((await cursor.read(200)).length, 150);
  await cursor.close();
  let sum = 0;
  for await (const row of client.query(new QueryStream('SELECT i FROM generate_series(1, 1000) AS g(i)', [], { batchSize: 64 }))) {
    sum += row.i;
  }
  assert.equal(sum, 500500);
});

test('COPY both ways', async () => {
  await client.query('DELETE FROM node_items');
  await pipeline(Readable.from(['a\t[1,2,3]\n', 'b\t\\N\n']), client.query(from('COPY node_items (kind, embedding) FROM STDIN')));
  let out = '';
  for await (const chunk of client.query(to('COPY (SELECT kind, embedding FROM node_items ORDER BY id) TO STDOUT WITH CSV'))) {
    out += chunk;
  }
  assert.equal(out, 'a,"[1,2,3]"\nb,\n');
});

test('transactions and errors', async () => {
  await client.query('BEGIN');
  await client.query("INSERT INTO node_items (kind) VALUES ('lost')");
  await assert.rejects(client.query('INSERT INTO node_items (kind) VALUES (NULL)'), (error) => {
    assert.deepEqual([error.code, error.table, error.column, error.schema, error.severity], ['23502', 'node_items', 'kind', 'public', 'ERROR']);
    return true;
  });
  await assert.rejects(client.query('SELECT 1'), { code: '25P02' });
  await client.query('ROLLBACK');
  await assert.rejects(client.query('SELECT * FROM nowhere'), { code: '42P01', position: '15' });
  await assert.rejects(client.query('INSERT INTO node_items (id, kind) VALUES (1, $1), (1, $1)', ['x']), { code: '23505', constraint: 'node_items_pkey' });
  await assert.rejects(client.query('SELECT $1::vector', ['[1,x]']), { code: '22P02' });
});

test('several statements at once, and notices', async () => {
  const [first, second] = await client.query('SELECT 1 AS a; SELECT 2 AS b');
  assert.deepEqual([first.rows, second.rows], [[{ a: 1 }], [{ b: 2 }]]);
  const notices = [];
  client.on('notice', (notice) => notices.push(notice.code));
  await client.query('DROP TABLE IF EXISTS nowhere');
  assert.deepEqual(notices, ['00000']);
});

test('a pool', async () => {
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  const answers = await Promise.all([...Array(20).keys()].map((i) => pool.query('SELECT $1::int8 AS i', [i])));
  assert.deepEqual(answers.map((answer) => answer.rows[0].i), [...Array(20).keys()].map(String));
  await pool.end();
});

test('LISTEN and NOTIFY', async () => {
  const other = new pg.Client({ connectionString: url });
  await other.connect();
  const heard = [];
  const hear = ({ channel, payload }) => heard.push([channel, payload]);
  client.on('notification', hear);
  await client.query('LISTEN "My channel"');
  await other.query(`NOTIFY "My channel", 'one'`);
  await other.query('BEGIN');
  await other.query("SELECT pg_notify('My channel', 'two')");
  await other.query("SELECT pg_notify('My channel', 'two')");
  await other.query('COMMIT');
  await other.query(`BEGIN; NOTIFY "My channel", 'lost'; ROLLBACK`);
  while (heard.length < 2) await client.query('SELECT 1');
  await client.query('UNLISTEN *');
  await other.query(`NOTIFY "My channel", 'unheard'`);
  await client.query('SELECT 1');
  client.off('notification', hear);
  assert.deepEqual(heard, [['My channel', 'one'], ['My channel', 'two']]);
  await assert.rejects(other.query('SELECT pg_notify($1, $2)', ['x', 'x'.repeat(8000)]), { code: '22023' });
  await other.end();
});

test('timeouts and cancelling', async () => {
  const timed = new pg.Client({ connectionString: url, statement_timeout: 200, application_name: 'timed', options: '-c work_mem=5MB' });
  await timed.connect();
  assert.deepEqual((await timed.query("SELECT current_setting('statement_timeout') AS a, current_setting('application_name') AS b, current_setting('work_mem') AS c")).rows,
    [{ a: '200ms', b: 'timed', c: '5MB' }]);
  await assert.rejects(timed.query('SELECT pg_sleep(5)'), { code: '57014' });
  await assert.rejects(timed.query('SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b'), { code: '57014' });
  await timed.end();
  const cancelled = assert.rejects(client.query('SELECT pg_sleep(5)'), { code: '57014', message: 'canceling statement due to user request' });
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  while (!(await pool.query("SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", [client.processID])).rowCount);
  assert.deepEqual((await pool.query('SELECT pg_cancel_backend($1) AS done', [client.processID])).rows, [{ done: true }]);
  await cancelled;
  await pool.end();
});

test('cursors and streams that end early, COPY that fails', async () => {
  const failing = client.query(new Cursor('SELECT 10 / (5 - i) FROM generate_series(1, 10) AS g(i)'));
  await assert.rejects(async () => { while ((await failing.read(3)).length); }, { code: '22012' });
  await failing.close();
  let seen = 0;
  for await (const _ of client.query(new QueryStream('SELECT i FROM generate_series(1, 100000) AS g(i)', [], { batchSize: 10 }))) {
    if (++seen === 25) break;
  }
  const before = (await client.query('SELECT count(*) FROM node_items')).rows;
  await assert.rejects(pipeline(Readable.from(['a\t[1,2,3]\n', 'b\t[1,2]\n']), client.query(from('COPY node_items (kind, embedding) FROM STDIN'))), { code: '22000' });
  await assert.rejects(pipeline(Readable.from(['a\n']), client.query(from('COPY node_items (kind, embedding) FROM STDIN'))), { code: '22P04' });
  const parts = [];
  for await (const chunk of client.query(to("COPY (SELECT 'c', '[1,2,3]'::vector) TO STDOUT (FORMAT binary)"))) parts.push(chunk);
  await assert.rejects(client.query('CREATE TEMP TABLE gone (a int); INSERT INTO gone VALUES (1); SELECT 1 / 0'), { code: '22012' });
  assert.deepEqual((await client.query("SELECT count(*), to_regclass('gone')::text AS gone FROM node_items")).rows, [{ ...before[0], gone: null }]);
  await pipeline(Readable.from(parts), client.query(from('COPY node_items (kind, embedding) FROM STDIN (FORMAT binary)')));
  assert.deepEqual((await client.query("DELETE FROM node_items WHERE kind = 'c' RETURNING embedding")).rows, [{ embedding: [1, 2, 3] }]);
});
