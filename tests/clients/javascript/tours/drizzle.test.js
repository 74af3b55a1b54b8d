// Drizzle over node-postgres, and drizzle-kit: push makes the schema, pull reads it back.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { createRequire } from 'node:module';
import { and, cosineDistance, desc, eq, gt, l2Distance, lt, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { bigserial, index, integer, jsonb, numeric, pgSchema, text, timestamp, uniqueIndex, vector } from 'drizzle-orm/pg-core';
import pg from 'pg';
import { url } from './server.js';

const shop = pgSchema('drizzle_shop');
const makers = shop.table('makers', { id: integer().primaryKey().generatedAlwaysAsIdentity(), name: text().notNull().unique() });
const items = shop.table('items', {
  id: bigserial({ mode: 'number' }).primaryKey(),
  makerId: integer('maker_id').notNull().references(() => makers.id, { onDelete: 'cascade' }),
  name: text().notNull(),
  price: numeric({ precision: 10, scale: 2 }),
  about: jsonb(),
  at: timestamp({ withTimezone: true }).defaultNow(),
  embedding: vector({ dimensions: 3 }),
}, (table) => [
  index('items_embedding').using('hnsw', table.embedding.op('vector_cosine_ops')),
  uniqueIndex('items_name').on(table.makerId, table.name),
]);

const pool = new pg.Pool({ connectionString: url });
const db = drizzle(pool);
const folder = mkdtempSync(join(tmpdir(), 'hither-drizzle-'));
const modules = dirname(dirname(createRequire(import.meta.url).resolve('drizzle-orm')));

function kit(...command) {
  return execFileSync(process.execPath, [join(modules, 'drizzle-kit', 'bin.cjs'), ...command, '--config=drizzle.config.js'],
    { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

before(async () => {
  await db.execute(sql`CREATE EXTENSION IF NOT EXISTS vector`);
  await db.execute(sql`DROP SCHEMA IF EXISTS drizzle_shop CASCADE`);
  symlinkSync(modules, join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{}');
  writeFileSync(join(folder, 'drizzle.config.js'), `module.exports = { dialect: 'postgresql', schema: './schema.js', out: './out',
    dbCredentials: { url: ${JSON.stringify(url)} }, schemaFilter: ['drizzle_shop'] };`);
  writeFileSync(join(folder, 'schema.js'), `
    const { bigserial, index, integer, jsonb, numeric, pgSchema, text, timestamp, uniqueIndex, vector } = require('drizzle-orm/pg-core');
    const shop = pgSchema('drizzle_shop');
    const makers = shop.table('makers', { id: integer().primaryKey().generatedAlwaysAsIdentity(), name: text().notNull().unique() });
    const items = shop.table('items', {
      id: bigserial({ mode: 'number' }).primaryKey(),
      makerId: integer('maker_id').notNull().references(() => makers.id, { onDelete: 'cascade' }),
      name: text().notNull(), price: numeric({ precision: 10, scale: 2 }), about: jsonb(),
      at: timestamp({ withTimezone: true }).defaultNow(), embedding: vector({ dimensions: 3 }),
    }, (table) => [
      index('items_embedding').using('hnsw', table.embedding.op('vector_cosine_ops')),
      uniqueIndex('items_name').on(table.makerId, table.name),
    ]);
    module.exports = { shop, makers, items };`);
});

after(async () => {
  await db.execute(sql`DROP SCHEMA IF EXISTS drizzle_shop CASCADE`);
  await pool.end();
  rmSync(folder, { recursive: true });
});

test('drizzle-kit makes the schema, finds nothing to change, and reads it back', () => {
  kit('push', '--force');
  assert.match(kit('push', '--force'), /No changes detected/);
  kit('pull');
  const text = readFileSync(join(folder, 'out', 'schema.ts'), 'utf8');
  for (const part of ['vector({ dimensions: 3 })', 'using("hnsw"', 'vector_cosine_ops', 'generatedAlwaysAsIdentity', 'numeric({ precision: 10, scale:  2 })',
    'onDelete("cascade")', 'uniqueIndex("items_name")', 'unique("makers_name_unique")']) {
    assert.ok(text.includes(part), `${part} in\n${text}`);
  }
});

test('a tour', async () => {
  const [{ id }] = await db.insert(makers).values({ name: 'one' }).returning({ id: makers.id });
  await db.insert(items).values([...Array(40).keys()].map((i) => ({
    makerId: id, name: `n${i}`, price: `${i}.50`, about: { n: i }, embedding: [i, 1, 0] })));
  const near = await db.select({ name: items.name, embedding: items.embedding, maker: makers.name }).from(items)
    .innerJoin(makers, eq(makers.id, items.makerId)).where(and(lt(items.price, '20'), eq(makers.name, 'one')))
    .orderBy(l2Distance(items.embedding, [9.9, 1, 0])).limit(2);
  assert.deepEqual(near, [{ name: 'n10', embedding: [10, 1, 0], maker: 'one' }, { name: 'n9', embedding: [9, 1, 0], maker: 'one' }]);
  const similarity = sql`1 - (${cosineDistance(items.embedding, [1, 1, 0])})`;
  const similar = await db.select({ name: items.name, similarity }).from(items).where(gt(similarity, 0.5)).orderBy((t) => desc(t.similarity)).limit(1);
  assert.equal(similar[0].name, 'n1');
  await db.insert(items).values({ makerId: id, name: 'n1', price: '7' })
    .onConflictDoUpdate({ target: [items.makerId, items.name], set: { price: sql`excluded.price` } });
  assert.deepEqual(await db.update(items).set({ about: { z: 1 } }).where(eq(items.name, 'n1')).returning({ price: items.price, about: items.about }),
    [{ price: '7.00', about: { z: 1 } }]);
  await assert.rejects(db.transaction(async (tx) => {
    await tx.insert(makers).values({ name: 'lost' });
    await tx.insert(makers).values({ name: 'one' });
  }), (error) => (error.cause ?? error).code === '23505');
  assert.equal(await db.$count(makers), 1);
  await db.delete(makers).where(eq(makers.id, id));
  assert.equal(await db.$count(items), 0);
});
