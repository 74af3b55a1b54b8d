// node-pg-migrate: up, nothing to do, down.
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { url } from './server.js';

test('node-pg-migrate', async () => {
  const { runner } = await import('node-pg-migrate');
  const pool = new pg.Pool({ connectionString: url });
  await pool.query('DROP TABLE IF EXISTS npm_items, npm_migrations');
  await pool.end();
  const dir = mkdtempSync(join(tmpdir(), 'hither-migrate-'));
  writeFileSync(`${dir}/1_a.cjs`, `exports.up = (pgm) => { pgm.createExtension('vector', { ifNotExists: true }); pgm.createTable('npm_items', { id: 'id', name: { type: 'varchar(10)', notNull: true, default: 'x', comment: 'c' }, embedding: 'vector(3)', createdAt: { type: 'timestamp', notNull: true, default: pgm.func('current_timestamp') } });
    pgm.createIndex('npm_items', 'name', { unique: true }); pgm.addColumns('npm_items', { n: { type: 'integer', references: 'npm_items', onDelete: 'SET NULL' } }); pgm.addConstraint('npm_items', 'c1', { check: 'id > 0' }); }; exports.down = (pgm) => { pgm.dropTable('npm_items'); };`);
  const o = { databaseUrl: url, dir, migrationsTable: 'npm_migrations', direction: 'up', count: Infinity, log: () => {}, noLock: false };
  assert.equal((await runner(o)).length, 1);
  assert.equal((await runner(o)).length, 0);
  assert.equal((await runner({ ...o, direction: 'down', count: 1 })).length, 1);
});
