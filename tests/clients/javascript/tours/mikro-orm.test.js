// MikroORM: updateSchema (twice: the second finds nothing to change), entities, query builder.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { url } from './server.js';

test('mikro-orm', async () => {
  const { MikroORM, EntitySchema } = await import('@mikro-orm/postgresql');
  const Maker = new EntitySchema({ name: 'Maker', tableName: 'mk_makers', properties: { id: { type: 'number', primary: true }, name: { type: 'string', unique: true }, items: { kind: '1:m', entity: () => 'Item', mappedBy: 'maker' } } });
  const Item = new EntitySchema({ name: 'Item', tableName: 'mk_items', properties: { id: { type: 'number', primary: true }, name: { type: 'string', default: 'x' }, price: { type: 'decimal', precision: 10, scale: 2, nullable: true }, about: { type: 'json', nullable: true },
    at: { type: 'datetime', nullable: true, ...(process.env.MIKRO_LENGTH ? { length: 6 } : {}) }, embedding: { type: 'string', columnType: 'vector(3)', nullable: true }, maker: { kind: 'm:1', entity: () => 'Maker', deleteRule: 'cascade' } } });
  const orm = await MikroORM.init({ clientUrl: url, dbName: new URL(url).pathname.slice(1), entities: [Maker, Item], allowGlobalContext: true, ensureDatabase: false });
  try {
    await orm.em.execute('create extension if not exists vector');
    await orm.em.execute('drop table if exists mk_items, mk_makers cascade');
    await orm.schema.updateSchema({ safe: true });
    assert.equal((await orm.schema.getUpdateSchemaSQL({ safe: true })).trim(), '');
    const m = orm.em.create('Maker', { name: 'one' });
    for (let i = 0; i < 30; i++) orm.em.create('Item', { name: `n${i}`, price: i, about: { n: i }, embedding: `[${i},0,0]`, maker: m });
    await orm.em.flush();
    const rows = await orm.em.createQueryBuilder('Item', 'i').leftJoinAndSelect('i.maker', 'm').where({ price: { $lt: 20 } }).orderBy({ [(await import('@mikro-orm/core')).raw("i.embedding <-> '[9.9,0,0]'")]: 'asc' }).limit(2).getResult();
    assert.deepEqual(rows.map((r) => r.name), ['n10', 'n9']);
    await orm.em.transactional(async (em) => { (await em.findOneOrFail('Item', { name: 'n1' })).price = '3'; });
    await assert.rejects(orm.em.fork().insert('Maker', { name: 'one' }), (e) => e.constructor.name === 'UniqueConstraintViolationException');
    assert.equal(await orm.em.count('Item', { about: { n: { $gt: 20 } } }), 9);
    orm.em.remove(m); await orm.em.flush();
    assert.equal(await orm.em.fork().count('Item'), 0);
  } finally { await orm.close(true); }
});
