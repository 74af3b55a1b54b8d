// knex: schema builder, queries, transactions, migrations-style introspection.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Knex from 'knex';
import pgvector from 'pgvector/knex';
import { url } from './server.js';

const knex = Knex({ client: 'pg', connection: url });

before(async () => {
  await knex.schema.createExtensionIfNotExists('vector');
  await knex.schema.dropTableIfExists('knex_notes');
  await knex.schema.dropTableIfExists('knex_items');
  await knex.schema.createTable('knex_items', (table) => {
    table.increments('id');
    table.string('name', 40).notNullable().unique();
    table.decimal('price', 10, 2).defaultTo(1);
    table.jsonb('about');
    table.boolean('active').defaultTo(true);
    table.timestamps(true, true);
    table.vector('embedding', { dimensions: 3 });
    table.index(knex.raw('embedding vector_l2_ops'), 'knex_items_embedding', 'hnsw');
    table.index(['price']);
  });
  await knex.schema.createTable('knex_notes', (table) => {
    table.bigIncrements('id');
    table.integer('item_id').notNullable().references('id').inTable('knex_items').onDelete('CASCADE');
    table.text('text');
  });
});

after(async () => {
  await knex.schema.dropTable('knex_notes');
  await knex.schema.dropTable('knex_items');
  await knex.destroy();
});

test('a tour', async () => {
  const rows = [...Array(40).keys()].map((i) => ({ name: `n${i}`, price: i + 0.5, about: { n: i }, embedding: pgvector.toSql([i, 0, 0]) }));
  await knex.batchInsert('knex_items', rows, 15);
  const near = await knex('knex_items').where('price', '<', 20).orderBy(knex.l2Distance('embedding', [9.9, 0, 0])).limit(2);
  assert.deepEqual(near.map((row) => [row.name, row.price, row.about.n]), [['n10', '10.50', 10], ['n9', '9.50', 9]]);
  assert.equal(await knex('knex_items').where('name', 'n1').update({ price: 3 }), 1);
  const [{ id }] = await knex('knex_items').insert({ name: 'n1', price: 9 }).onConflict('name').merge(['price']).returning('id');
  assert.equal((await knex('knex_items').where({ id }).first()).price, '9.00');
  await knex('knex_notes').insert({ item_id: id, text: 'x' });
  const joined = await knex('knex_notes').join('knex_items', 'knex_items.id', 'knex_notes.item_id').select('knex_items.name', 'text');
  assert.deepEqual(joined, [{ name: 'n1', text: 'x' }]);
  assert.equal(await knex('knex_items').where({ id }).del(), 1);
  assert.equal((await knex('knex_notes').count('* as n').first()).n, '0');
  const grouped = await knex('knex_items').select(knex.raw('price > 10 AS dear')).count('* as n').groupBy('dear').orderBy('dear');
  assert.deepEqual(grouped, [{ dear: false, n: '9' }, { dear: true, n: '30' }]);
});

test('transactions', async () => {
  await assert.rejects(knex.transaction(async (trx) => {
    await trx('knex_items').insert({ name: 'lost' });
    await trx('knex_items').insert({ name: 'n2' });
  }), { code: '23505' });
  await knex.transaction(async (trx) => {
    await trx('knex_items').insert({ name: 'kept' });
    await trx.transaction(async (inner) => {
      await inner('knex_items').insert({ name: 'lost' });
      throw new Error('back');
    }).catch(() => {});
  });
  assert.deepEqual(await knex('knex_items').whereIn('name', ['lost', 'kept']).pluck('name'), ['kept']);
});

test('introspection', async () => {
  assert.equal(await knex.schema.hasTable('knex_items'), true);
  assert.equal(await knex.schema.hasColumn('knex_items', 'embedding'), true);
  const info = await knex('knex_items').columnInfo();
  assert.deepEqual(info.name, { type: 'character varying', maxLength: 40, nullable: false, defaultValue: null });
  assert.equal(info.embedding.type, 'USER-DEFINED');
});

test('alter a table', async () => {
  await knex.schema.alterTable('knex_items', (table) => {
    table.string('colour').defaultTo('red');
    table.renameColumn('active', 'sold');
    table.text('name').notNullable().alter();
    table.dropColumn('about');
  });
  const info = await knex('knex_items').columnInfo();
  assert.ok(info.colour && info.sold && !info.about);
  assert.equal(info.name.type, 'text');
});

test('migrations', async () => {
  const source = {
    getMigrations: async () => ['one', 'two'],
    getMigrationName: (name) => name,
    getMigration: async (name) => ({
      up: (knex) => knex.schema.createTable(`knex_made_${name}`, (table) => table.increments()),
      down: (knex) => knex.schema.dropTable(`knex_made_${name}`),
    }),
  };
  const [batch, names] = await knex.migrate.latest({ migrationSource: source });
  assert.deepEqual([batch, names], [1, ['one', 'two']]);
  assert.equal(await knex.migrate.currentVersion({ migrationSource: source }), 'two');
  await knex.migrate.rollback({ migrationSource: source }, true);
  assert.equal(await knex.schema.hasTable('knex_made_one'), false);
  await knex.schema.dropTable('knex_migrations');
  await knex.schema.dropTable('knex_migrations_lock');
});
