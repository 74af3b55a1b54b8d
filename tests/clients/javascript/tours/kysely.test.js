// Kysely: schema, queries, introspection, migrations.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { url } from './server.js';

test('kysely', async () => {
  const { Kysely, PostgresDialect, sql } = await import('kysely');
  const kv = await import('pgvector/kysely');
  const db = new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url }) }) });
  try {
    await sql`CREATE EXTENSION IF NOT EXISTS vector`.execute(db);
    await db.schema.dropTable('ky_items').ifExists().execute();
    await db.schema.createTable('ky_items').addColumn('id', 'serial', (c) => c.primaryKey()).addColumn('name', 'varchar(50)', (c) => c.unique().defaultTo('x'))
      .addColumn('price', 'numeric(10, 2)').addColumn('embedding', sql`vector(3)`).addColumn('at', 'timestamptz', (c) => c.defaultTo(sql`now()`)).execute();
    await db.schema.createIndex('ky_items_embedding').on('ky_items').using('hnsw').expression(sql`embedding vector_l2_ops`).execute();
    await db.insertInto('ky_items').values([...Array(30).keys()].map((i) => ({ name: `n${i}`, price: i, embedding: kv.toSql([i, 0, 0]) }))).execute();
    const rows = await db.selectFrom('ky_items').selectAll().where('price', '<', 20).orderBy(kv.l2Distance('embedding', [9.9, 0, 0])).limit(2).execute();
    assert.deepEqual(rows.map((r) => r.name), ['n10', 'n9']);
    const r = await db.insertInto('ky_items').values({ name: 'n1', price: 5 }).onConflict((oc) => oc.column('name').doUpdateSet((eb) => ({ price: eb.ref('excluded.price') }))).returning(['id', 'price']).executeTakeFirst();
    assert.equal(r.price, '5.00');
    await db.updateTable('ky_items').set((eb) => ({ price: eb('price', '+', 1) })).where('id', 'in', [1, 2]).execute();
    const tables = await db.introspection.getTables();
    const t = tables.find((t) => t.name === 'ky_items');
    assert.deepEqual(t.columns.map((c) => [c.name, c.dataType, c.isNullable, c.isAutoIncrementing, c.hasDefaultValue]), [['id', 'int4', false, true, true], ['name', 'varchar', true, false, true], ['price', 'numeric', true, false, false], ['embedding', 'vector', true, false, false], ['at', 'timestamptz', true, false, true]]);
    await assert.rejects(db.transaction().setIsolationLevel('repeatable read').execute(async (trx) => { await trx.deleteFrom('ky_items').execute(); await trx.insertInto('nowhere').values({ a: 1 }).execute(); }), (e) => e.code === '42P01');
    const { Migrator } = await import('kysely');
    const migrator = new Migrator({ db, provider: { getMigrations: async () => ({ a: { up: async (d) => d.schema.createTable('ky_m').addColumn('id', 'bigint', (c) => c.generatedAlwaysAsIdentity().primaryKey()).execute(), down: async (d) => d.schema.dropTable('ky_m').execute() } }) } });
    let res = await migrator.migrateToLatest();
    assert.equal(res.error, undefined);
    res = await migrator.migrateDown();
    assert.equal(res.error, undefined);
  } finally { await db.destroy(); }
});
