// Sequelize: sync, models, associations, transactions, describeTable and showIndex.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DataTypes, Op, Sequelize, UniqueConstraintError } from 'sequelize';
import pgvector from 'pgvector/sequelize';
import { address, url } from './server.js';

pgvector.registerTypes(Sequelize);
const sequelize = new Sequelize(url, { logging: false, dialect: 'postgres' });
const Maker = sequelize.define('maker', { name: { type: DataTypes.STRING, unique: true } }, { tableName: 'seq_makers' });
const Item = sequelize.define('item', {
  name: { type: DataTypes.TEXT, allowNull: false },
  price: DataTypes.DECIMAL(10, 2),
  about: DataTypes.JSONB,
  tags: DataTypes.ARRAY(DataTypes.STRING),
  code: { type: DataTypes.UUID, defaultValue: DataTypes.UUIDV4 },
  embedding: DataTypes.VECTOR(3),
}, {
  tableName: 'seq_items',
  indexes: [{ fields: ['price'] }, { name: 'seq_items_embedding', fields: [{ name: 'embedding', operator: 'vector_l2_ops' }], using: 'hnsw' }],
});
Maker.hasMany(Item, { onDelete: 'CASCADE' });
Item.belongsTo(Maker);

before(async () => {
  await sequelize.authenticate();
  await sequelize.query('CREATE EXTENSION IF NOT EXISTS vector');
  await sequelize.sync({ force: true });
});

after(async () => {
  await sequelize.drop();
  await sequelize.close();
});

test('a tour', async () => {
  const maker = await Maker.create({ name: 'one' });
  await Item.bulkCreate([...Array(40).keys()].map((i) => ({
    name: `n${i}`, price: i + 0.5, about: { n: i }, tags: ['x', `${i % 3}`], embedding: [i, 0, 0], makerId: maker.id })));
  const near = await Item.findAll({
    where: { price: { [Op.lt]: 20 }, about: { n: { [Op.gt]: 3 } } }, include: Maker,
    order: [sequelize.literal(`"embedding" <-> '[9.9,0,0]'`)], limit: 2 });
  assert.deepEqual(near.map((item) => [item.name, item.price, item.maker.name]), [['n10', '10.50', 'one'], ['n9', '9.50', 'one']]);
  assert.deepEqual(near[0].embedding, [10, 0, 0]);
  assert.equal(await Item.count({ where: { tags: { [Op.contains]: ['1'] } } }), 13);
  assert.deepEqual(await Item.update({ price: 1 }, { where: { name: ['n1', 'n2'] } }), [2]);
  const { count, rows } = await Item.findAndCountAll({ where: { name: { [Op.iLike]: 'N3%' } }, limit: 3, order: ['id'] });
  assert.deepEqual([count, rows.map((row) => row.name)], [11, ['n3', 'n30', 'n31']]);
  const [, created] = await Maker.findOrCreate({ where: { name: 'two' } });
  assert.equal(created, true);
  await Maker.upsert({ id: maker.id, name: 'uno' });
  assert.equal((await Maker.findByPk(maker.id)).name, 'uno');
  assert.equal(await Maker.destroy({ where: { id: maker.id } }), 1);
  assert.equal(await Item.count(), 0);
});

test('transactions and errors', async () => {
  await assert.rejects(sequelize.transaction(async (transaction) => {
    await Maker.create({ name: 'lost' }, { transaction });
    await Maker.create({ name: 'two' }, { transaction });
  }), (error) => error instanceof UniqueConstraintError && error.parent.code === '23505' && error.fields.name === 'two');
  assert.equal(await Maker.count({ where: { name: 'lost' } }), 0);
});

test('introspection', async () => {
  const query = sequelize.getQueryInterface();
  assert.ok((await query.showAllTables()).includes('seq_items'));
  const columns = await query.describeTable('seq_items');
  assert.deepEqual([columns.id.primaryKey, columns.price.type, columns.embedding.type, columns.name.allowNull],
    [true, 'NUMERIC', 'USER-DEFINED', false]);
  const indexes = await query.showIndex('seq_items');
  assert.deepEqual(indexes.map((index) => [index.name, index.primary]).sort(),
    [['seq_items_embedding', false], ['seq_items_pkey', true], ['seq_items_price', false]]);
  const keys = await query.getForeignKeyReferencesForTable('seq_items');
  assert.deepEqual(keys.map((key) => [key.columnName, key.referencedTableName]), [['makerId', 'seq_makers']]);
  await sequelize.sync({ alter: true });
  await query.addColumn('seq_items', 'colour', { type: DataTypes.STRING, defaultValue: 'red' });
  await query.removeColumn('seq_items', 'colour');
  assert.equal(sequelize.config.database, address.database);
});

test('an enum, and sync that alters twice', async () => {
  const log = [];
  const more = new Sequelize(url, { logging: (text) => log.push(text), dialect: 'postgres' });
  const Kind = more.define('kind', { kind: { type: DataTypes.ENUM('x', 'y'), defaultValue: 'x' }, size: { type: DataTypes.DECIMAL(8, 2), defaultValue: 1.5 } },
    { tableName: 'seq_kinds', indexes: [{ fields: ['kind', 'size'], unique: true, where: { kind: 'x' } }] });
  await more.sync({ force: true });
  await more.sync({ alter: true });
  log.length = 0;
  await more.sync({ alter: true });
  assert.ok(log.some((text) => text.includes('ALTER COLUMN')) && !log.some((text) => /CREATE (UNIQUE )?INDEX|ADD COLUMN|ADD VALUE/.test(text)));
  assert.equal((await Kind.create({})).kind, 'x');
  assert.equal((await Kind.findOrCreate({ where: { kind: 'y' } }))[1], true);
  await more.drop({});
  await more.close();
});
