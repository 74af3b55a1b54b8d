// Objection over knex: graphs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { url } from './server.js';

test('objection', async () => {
  const { Model } = await import('objection');
  const knex = (await import('knex')).default({ client: 'pg', connection: url });
  try {
    class Item extends Model { static tableName = 'ob_items'; static get relationMappings() { return { parent: { relation: Model.BelongsToOneRelation, modelClass: Item, join: { from: 'ob_items.parent_id', to: 'ob_items.id' } } }; } }
    Item.knex(knex);
    await knex.schema.dropTableIfExists('ob_items');
    await knex.schema.createTable('ob_items', (t) => { t.increments(); t.string('name').unique(); t.integer('parent_id').references('ob_items.id'); t.specificType('embedding', 'vector(3)'); t.timestamps(true, true); });
    await Item.query().insertGraph([{ name: 'c', parent: { name: 'p' } }]);
    assert.equal((await Item.query().withGraphFetched('parent').findOne({ name: 'c' })).parent.name, 'p');
    assert.equal((await Item.query().withGraphJoined('parent').where('ob_items.name', 'c'))[0].parent.name, 'p');
    await Item.query().patch({ embedding: '[1,2,3]' }).where('name', 'c');
  } finally { await knex.destroy(); }
});
