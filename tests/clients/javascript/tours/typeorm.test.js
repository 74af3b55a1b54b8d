// TypeORM: synchronize (twice: the second finds nothing to change), repositories, relations, transactions.
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DataSource, EntitySchema } from 'typeorm';
import pgvector from 'pgvector';
import { url } from './server.js';

const Maker = new EntitySchema({
  name: 'Maker', tableName: 'type_makers',
  columns: { id: { type: 'int', primary: true, generated: true }, name: { type: 'varchar', length: '40', unique: true } },
});
const Item = new EntitySchema({
  name: 'Item', tableName: 'type_items',
  columns: {
    id: { type: 'bigint', primary: true, generated: true },
    name: { type: 'text' },
    price: { type: 'numeric', precision: 10, scale: 2, nullable: true },
    about: { type: 'jsonb', nullable: true },
    tags: { type: 'text', array: true, nullable: true },
    made: { type: 'timestamptz', createDate: true },
    embedding: { type: 'vector', length: '3', nullable: true },
  },
  indices: [{ name: 'type_items_price', columns: ['price'] }],
  relations: { maker: { type: 'many-to-one', target: 'Maker', joinColumn: { name: 'maker_id' }, onDelete: 'CASCADE' } },
});

const source = new DataSource({ type: 'postgres', url, entities: [Maker, Item] });

before(async () => {
  await source.initialize();
  await source.query('CREATE EXTENSION IF NOT EXISTS vector');
  await source.query('DROP TABLE IF EXISTS type_items, type_makers');
  await source.synchronize();
});

after(async () => {
  await source.query('DROP TABLE type_items, type_makers');
  await source.destroy();
});

test('a second synchronize has nothing to do', async () => {
  const log = await source.driver.createSchemaBuilder().log();
  assert.deepEqual(log.upQueries.map((query) => query.query), []);
});

test('a tour', async () => {
  const makers = source.getRepository('Maker');
  const items = source.getRepository('Item');
  const maker = await makers.save({ name: 'one' });
  await items.insert([...Array(40).keys()].map((i) => ({
    name: `n${i}`, price: i + 0.5, about: { n: i }, tags: ['x'], embedding: [i, 0, 0], maker })));
  const near = await items.createQueryBuilder('item').innerJoinAndSelect('item.maker', 'maker').where('item.price < :price', { price: 20 })
    .orderBy('item.embedding <-> :q').setParameter('q', pgvector.toSql([9.9, 0, 0])).limit(2).getMany();
  assert.deepEqual(near.map((item) => [item.name, item.maker.name]), [['n10', 'one'], ['n9', 'one']]);
  const [page, count] = await items.findAndCount({ where: { maker: { name: 'one' } }, relations: { maker: true }, order: { id: 'ASC' }, skip: 5, take: 2 });
  assert.deepEqual([page.map((item) => item.name), count], [['n5', 'n6'], 40]);
  assert.equal((await items.update({ name: 'n1' }, { price: 3 })).affected, 1);
  await makers.upsert({ name: 'one' }, ['name']);
  assert.equal(await makers.count(), 1);
  await assert.rejects(source.transaction(async (manager) => {
    await manager.save('Maker', { name: 'lost' });
    await manager.save('Maker', { name: 'one' });
  }), (error) => error.driverError.code === '23505');
  assert.equal(await makers.count(), 1);
  await makers.delete(maker.id);
  assert.equal(await items.count(), 0);
});

test('query runner introspection', async () => {
  const runner = source.createQueryRunner();
  const table = await runner.getTable('type_items');
  assert.deepEqual(table.columns.map((column) => [column.name, column.type]), [
    ['id', 'bigint'], ['name', 'text'], ['price', 'numeric'], ['about', 'jsonb'], ['tags', 'text'], ['made', 'timestamp with time zone'],
    ['embedding', 'vector'], ['maker_id', 'integer']]);
  assert.deepEqual(table.indices.map((index) => index.name), ['type_items_price']);
  assert.deepEqual(table.foreignKeys.map((key) => [key.columnNames, key.referencedTableName, key.onDelete]), [[['maker_id'], 'type_makers', 'CASCADE']]);
  assert.equal(await runner.hasTable('type_items'), true);
  assert.equal(await runner.hasColumn('type_items', 'embedding'), true);
  await runner.release();
});
