// Prisma: the client over its driver adapter, with the query compiler in WASM that its packages bring. Of the schema
// engine, which comes from a host of its own, only what it writes is here.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { PrismaPg } from '@prisma/adapter-pg';
import esbuild from 'esbuild';
import pg from 'pg';
import pgvector from 'pgvector';
import { url } from './server.js';

const schema = `
generator client {
  provider   = "prisma-client"
  output     = "./generated"
  engineType = "client"
}
datasource db {
  provider = "postgresql"
}
enum Kind {
  BOOK
  TOY
}
model Maker {
  id      Int      @id @default(autoincrement())
  name    String   @unique
  email   String?  @unique @db.VarChar(80)
  profile Profile?
  items   Item[]
}
model Profile {
  id      Int    @id @default(autoincrement())
  bio     String
  makerId Int    @unique
  maker   Maker  @relation(fields: [makerId], references: [id], onDelete: Cascade)
}
model Item {
  id        BigInt                    @id @default(autoincrement())
  code      String                    @unique @default(uuid()) @db.Uuid
  name      String
  kind      Kind                      @default(BOOK)
  price     Decimal?                  @db.Decimal(10, 2)
  weight    Float?
  stock     Int                       @default(0)
  active    Boolean                   @default(true)
  about     Json?
  tags      String[]
  sizes     Int[]
  kinds     Kind[]
  made      DateTime                  @default(now()) @db.Timestamptz(3)
  changed   DateTime                  @updatedAt
  day       DateTime?                 @db.Date
  image     Bytes?
  embedding Unsupported("vector(3)")?
  makerId   Int?
  maker     Maker?                    @relation(fields: [makerId], references: [id], onDelete: Restrict)
  labels    Label[]
  parentId  BigInt?
  parent    Item?                     @relation("parts", fields: [parentId], references: [id])
  parts     Item[]                    @relation("parts")

  @@unique([makerId, name])
  @@index([price(sort: Desc), stock])
  @@index([tags], type: Gin)
  @@map("items")
}
model Label {
  id    Int    @id @default(autoincrement())
  text  String @unique
  items Item[]
}
`;

// What `prisma migrate diff --from-empty` makes of it.
const tables = `
CREATE SCHEMA IF NOT EXISTS "public";
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TYPE "Kind" AS ENUM ('BOOK', 'TOY');
CREATE TABLE "Maker" (
  "id" SERIAL NOT NULL,
  "name" TEXT NOT NULL,
  "email" VARCHAR(80),
  CONSTRAINT "Maker_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "Profile" (
  "id" SERIAL NOT NULL,
  "bio" TEXT NOT NULL,
  "makerId" INTEGER NOT NULL,
  CONSTRAINT "Profile_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "items" (
  "id" BIGSERIAL NOT NULL,
  "code" UUID NOT NULL,
  "name" TEXT NOT NULL,
  "kind" "Kind" NOT NULL DEFAULT 'BOOK',
  "price" DECIMAL(10,2),
  "weight" DOUBLE PRECISION,
  "stock" INTEGER NOT NULL DEFAULT 0,
  "active" BOOLEAN NOT NULL DEFAULT true,
  "about" JSONB,
  "tags" TEXT[],
  "sizes" INTEGER[],
  "kinds" "Kind"[],
  "made" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "changed" TIMESTAMP(3) NOT NULL,
  "day" DATE,
  "image" BYTEA,
  "embedding" vector(3),
  "makerId" INTEGER,
  "parentId" BIGINT,
  CONSTRAINT "items_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "Label" (
  "id" SERIAL NOT NULL,
  "text" TEXT NOT NULL,
  CONSTRAINT "Label_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "_ItemToLabel" (
  "A" BIGINT NOT NULL,
  "B" INTEGER NOT NULL,
  CONSTRAINT "_ItemToLabel_AB_pkey" PRIMARY KEY ("A","B")
);
CREATE UNIQUE INDEX "Maker_name_key" ON "Maker"("name");
CREATE UNIQUE INDEX "Maker_email_key" ON "Maker"("email");
CREATE UNIQUE INDEX "Profile_makerId_key" ON "Profile"("makerId");
CREATE UNIQUE INDEX "items_code_key" ON "items"("code");
CREATE INDEX "items_price_stock_idx" ON "items"("price" DESC, "stock");
CREATE INDEX "items_tags_idx" ON "items" USING GIN ("tags");
CREATE UNIQUE INDEX "items_makerId_name_key" ON "items"("makerId", "name");
CREATE UNIQUE INDEX "Label_text_key" ON "Label"("text");
CREATE INDEX "_ItemToLabel_B_index" ON "_ItemToLabel"("B");
ALTER TABLE "Profile" ADD CONSTRAINT "Profile_makerId_fkey" FOREIGN KEY ("makerId") REFERENCES "Maker"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "items" ADD CONSTRAINT "items_makerId_fkey" FOREIGN KEY ("makerId") REFERENCES "Maker"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "items" ADD CONSTRAINT "items_parentId_fkey" FOREIGN KEY ("parentId") REFERENCES "items"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "_ItemToLabel" ADD CONSTRAINT "_ItemToLabel_A_fkey" FOREIGN KEY ("A") REFERENCES "items"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "_ItemToLabel" ADD CONSTRAINT "_ItemToLabel_B_fkey" FOREIGN KEY ("B") REFERENCES "Label"("id") ON DELETE CASCADE ON UPDATE CASCADE;
`;

const folder = mkdtempSync(join(tmpdir(), 'hither-prisma-'));
const modules = dirname(dirname(createRequire(import.meta.url).resolve('pg/package.json')));
const database = new URL(url);
database.pathname = '/hither_prisma';
let prisma;
let Prisma;

async function owner(address, ...statements) {
  const client = new pg.Client({ connectionString: address });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}

before(async () => {
  await owner(url, 'DROP DATABASE IF EXISTS hither_prisma', 'CREATE DATABASE hither_prisma');
  await owner(database.href, tables);
  symlinkSync(modules, join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  writeFileSync(join(folder, 'schema.prisma'), schema);
  execFileSync(process.execPath, [join(modules, 'prisma', 'build', 'index.js'), 'generate'], {
    cwd: folder, stdio: 'ignore',
    // It would fetch the schema engine, which `generate` does not call: anything that is there will do.
    env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', CHECKPOINT_DISABLE: '1' },
  });
  await esbuild.build({
    entryPoints: [join(folder, 'generated', 'client.ts')], outfile: join(folder, 'client.mjs'),
    bundle: true, packages: 'external', format: 'esm', platform: 'node', logLevel: 'error',
  });
  const made = await import(join(folder, 'client.mjs'));
  Prisma = made.Prisma;
  prisma = new made.PrismaClient({ adapter: new PrismaPg({ connectionString: database.href }) });
});

after(async () => {
  await prisma?.$disconnect();
  await owner(url, 'DROP DATABASE IF EXISTS hither_prisma');
  rmSync(folder, { recursive: true });
});

test('create, nested create, connect, connectOrCreate', async () => {
  const maker = await prisma.maker.create({
    data: {
      name: 'one', email: 'one@x.org', profile: { create: { bio: 'makes things' } },
      items: { create: [
        { name: 'first', price: '1.50', labels: { create: [{ text: 'red' }, { text: 'round' }] } },
        { name: 'second', price: 2, labels: { connect: [] }, parts: { create: { name: 'screw' } } },
      ] },
    },
    include: { profile: true, items: { include: { labels: { orderBy: { text: 'asc' } }, parts: true }, orderBy: { id: 'asc' } } },
  });
  assert.equal(maker.profile.bio, 'makes things');
  assert.deepEqual(maker.items.map((item) => [item.name, item.price.toFixed(2), item.labels.map((label) => label.text), item.parts.map((part) => part.name)]),
    [['first', '1.50', ['red', 'round'], []], ['second', '2.00', [], ['screw']]]);
  const item = await prisma.item.create({
    data: { name: 'third', maker: { connect: { name: 'one' } },
      labels: { connectOrCreate: ['red', 'blue'].map((text) => ({ where: { text }, create: { text } })) } },
    select: { name: true, maker: { select: { name: true } }, labels: { select: { text: true }, orderBy: { text: 'desc' } }, _count: { select: { labels: true } } },
  });
  assert.deepEqual(item, { name: 'third', maker: { name: 'one' }, labels: [{ text: 'red' }, { text: 'blue' }], _count: { labels: 2 } });
  await prisma.maker.update({
    where: { name: 'one' },
    data: { items: { update: { where: { makerId_name: { makerId: maker.id, name: 'third' } }, data: { labels: { set: [], connect: { text: 'round' } } } },
      disconnect: { makerId_name: { makerId: maker.id, name: 'first' } }, deleteMany: { name: 'nothing' } } },
  });
  assert.deepEqual(await prisma.item.findMany({ where: { labels: { some: { text: 'round' } } }, select: { name: true, makerId: true }, orderBy: { name: 'asc' } }),
    [{ name: 'first', makerId: null }, { name: 'third', makerId: maker.id }]);
});

test('every type comes back', async () => {
  const data = {
    name: 'types', kind: 'TOY', price: new Prisma.Decimal('12345678.25'), weight: 0.1, stock: -3, active: false,
    about: { a: [1, null, 'x'], b: { c: true } }, tags: ['x', 'y "z"', ''], sizes: [1, -2], kinds: ['TOY', 'BOOK'],
    made: new Date('2024-02-29T12:34:56.789Z'), day: new Date('2024-02-29T00:00:00Z'), image: new Uint8Array([0, 1, 255]),
  };
  const { id } = await prisma.item.create({ data });
  assert.equal(typeof id, 'bigint');
  const { id: _, code, changed, makerId, parentId, ...back } = await prisma.item.findUniqueOrThrow({ where: { id } });
  assert.deepEqual({ ...back, price: back.price.toString(), image: [...back.image] }, { ...data, price: '12345678.25', image: [0, 1, 255] });
  assert.match(code, /^[0-9a-f-]{36}$/);
  assert.ok(changed instanceof Date);
  assert.deepEqual([makerId, parentId], [null, null]);
  await prisma.item.update({ where: { id }, data: { about: Prisma.DbNull, image: null, tags: [], price: { increment: 1 }, stock: { multiply: 2 }, sizes: { push: 7 } } });
  const next = await prisma.item.findUnique({ where: { code } });
  assert.deepEqual([next.about, next.image, next.tags, next.price.toString(), next.stock, next.sizes], [null, null, [], '12345679.25', -6, [1, -2, 7]]);
  await prisma.item.update({ where: { id }, data: { about: Prisma.JsonNull } });
  assert.equal(await prisma.item.count({ where: { about: { equals: Prisma.JsonNull } } }), 1);
  await prisma.item.delete({ where: { id } });
});

test('createMany, upsert, updateMany, deleteMany', async () => {
  const { id } = await prisma.maker.create({ data: { name: 'many' } });
  const rows = [...Array(40).keys()].map((i) => ({
    name: `n${i}`, makerId: id, price: i + 0.5, stock: i % 4, kind: i % 2 ? 'TOY' : 'BOOK', about: { n: i, tag: `t${i % 3}`, list: [i, 'x'] }, tags: i % 5 ? ['x', `t${i % 3}`] : [] }));
  assert.deepEqual(await prisma.item.createMany({ data: rows }), { count: 40 });
  assert.deepEqual(await prisma.item.createMany({ data: [rows[0], { ...rows[0], name: 'n40' }], skipDuplicates: true }), { count: 1 });
  const made = await prisma.label.createManyAndReturn({ data: [{ text: 'many a' }, { text: 'many b' }], select: { text: true } });
  assert.deepEqual(made, [{ text: 'many a' }, { text: 'many b' }]);
  for (const [bio, expected] of [['a', 'a'], ['b', 'a, again']]) {
    const profile = await prisma.profile.upsert({ where: { makerId: id }, create: { makerId: id, bio }, update: { bio: 'a, again' } });
    assert.equal(profile.bio, expected);
  }
  const key = { makerId_name: { makerId: id, name: 'n1' } };
  const upserted = await prisma.item.upsert({ where: key, create: rows[1], update: { stock: { decrement: 5 } } });
  assert.equal(upserted.stock, -4);
  assert.deepEqual(await prisma.item.updateMany({ where: { makerId: id, stock: { lt: 0 } }, data: { stock: 1 } }), { count: 1 });
  const changed = await prisma.item.updateManyAndReturn({ where: { makerId: id, name: { in: ['n2', 'n3'] } }, data: { weight: 2.5 }, select: { name: true, weight: true } });
  assert.deepEqual(changed.sort((a, b) => a.name.localeCompare(b.name)), [{ name: 'n2', weight: 2.5 }, { name: 'n3', weight: 2.5 }]);
  assert.deepEqual(await prisma.item.deleteMany({ where: { name: 'n40' } }), { count: 1 });
});

test('findMany: filters, order, pages, distinct, relations', async () => {
  const names = async (where, more = {}) => (await prisma.item.findMany({ where: { maker: { name: 'many' }, ...where }, orderBy: { id: 'asc' }, ...more })).map((item) => item.name);
  assert.deepEqual(await names({ price: { gte: 3, lt: '5.5' } }), ['n3', 'n4']);
  assert.deepEqual(await names({ name: { contains: 'N3', mode: 'insensitive' }, kind: { not: 'TOY' } }), ['n30', 'n32', 'n34', 'n36', 'n38']);
  assert.deepEqual(await names({ name: { startsWith: 'n1', endsWith: '2' } }), ['n12']);
  assert.deepEqual(await names({ name: { contains: '1%9' } }), ['n19']);
  assert.deepEqual(await names({ OR: [{ name: 'n7' }, { AND: [{ stock: 3 }, { price: { gt: 39 } }] }], NOT: { name: { in: ['n39', 'x'] } } }), ['n7']);
  assert.deepEqual(await names({ weight: { not: null } }), ['n2', 'n3']);
  assert.deepEqual(await names({ stock: { lt: prisma.item.fields.stock } }), []);
  assert.deepEqual(await names({}, { orderBy: [{ stock: 'desc' }, { price: 'desc' }], take: 3 }), ['n39', 'n35', 'n31']);
  assert.deepEqual(await names({}, { orderBy: [{ weight: { sort: 'asc', nulls: 'first' } }, { id: 'desc' }], take: 2 }), ['n39', 'n38']);
  assert.deepEqual(await names({}, { skip: 38, take: 5 }), ['n38', 'n39']);
  const { id } = await prisma.item.findFirst({ where: { name: 'n10' } });
  assert.deepEqual(await names({}, { cursor: { id }, skip: 1, take: 2 }), ['n11', 'n12']);
  assert.deepEqual(await names({}, { cursor: { id }, take: -3 }), ['n8', 'n9', 'n10']);
  const distinct = await prisma.item.findMany({ where: { maker: { name: 'many' } }, distinct: ['stock', 'kind'], select: { stock: true, kind: true }, orderBy: [{ stock: 'asc' }] });
  assert.deepEqual(distinct, [{ stock: 0, kind: 'BOOK' }, { stock: 1, kind: 'TOY' }, { stock: 2, kind: 'BOOK' }, { stock: 3, kind: 'TOY' }]);
  const makers = await prisma.maker.findMany({
    where: { items: { some: { price: { gt: 30 } }, every: { active: true } }, profile: { is: { bio: { not: '' } } } },
    select: { name: true, items: { where: { stock: 3 }, orderBy: { price: 'desc' }, take: 2, skip: 1, select: { name: true } }, _count: { select: { items: { where: { kind: 'TOY' } } } } },
  });
  assert.deepEqual(makers, [{ name: 'many', items: [{ name: 'n35' }, { name: 'n31' }], _count: { items: 20 } }]);
  assert.deepEqual((await prisma.maker.findMany({ orderBy: { items: { _count: 'desc' } }, select: { name: true } })).map((maker) => maker.name), ['many', 'one']);
  assert.deepEqual(await prisma.maker.findMany({ where: { items: { none: { price: { gt: 5 } } } }, select: { name: true }, orderBy: { name: 'asc' } }), [{ name: 'one' }]);
  assert.deepEqual(await prisma.item.findMany({ where: { parent: { is: { name: 'second' } } }, select: { name: true, parent: { select: { maker: { select: { name: true } } } } } }),
    [{ name: 'screw', parent: { maker: { name: 'one' } } }]);
  assert.deepEqual((await prisma.item.findMany({ where: { parent: null, maker: { name: 'one' } }, orderBy: { maker: { name: 'asc' } }, omit: { code: true } })).map((item) => 'code' in item),
    [false, false]);
});

test('filters of arrays and JSON', async () => {
  const count = (where) => prisma.item.count({ where: { maker: { name: 'many' }, ...where } });
  assert.equal(await count({ tags: { has: 't1' } }), 11);
  assert.equal(await count({ tags: { hasSome: ['t1', 't2'] } }), 21);
  assert.equal(await count({ tags: { hasEvery: ['x', 't0'] } }), 11);
  assert.equal(await count({ tags: { isEmpty: true } }), 8);
  assert.equal(await count({ tags: { equals: ['x', 't1'] } }), 11);
  assert.equal(await count({ NOT: { tags: { has: 'x' } } }), 8);
  assert.equal(await count({ about: { path: ['n'], gt: 30 } }), 9);
  assert.equal(await count({ about: { path: ['tag'], equals: 't1' } }), 13);
  assert.equal(await count({ about: { path: ['tag'], string_contains: '2' } }), 13);
  assert.equal(await count({ about: { path: ['tag'], string_starts_with: 't' } }), 40);
  assert.equal(await count({ about: { path: ['tag'], string_ends_with: 'T0', mode: 'insensitive' } }), 14);
  assert.equal(await count({ about: { path: ['list'], array_contains: [7] } }), 1);
  assert.equal(await count({ about: { path: ['list'], array_starts_with: 7 } }), 1);
  assert.equal(await count({ about: { path: ['list', '1'], equals: 'x' } }), 40);
  assert.equal(await count({ about: { path: ['gone'], equals: Prisma.AnyNull } }), 40);
  assert.equal(await count({ about: { equals: { n: 3, tag: 't0', list: [3, 'x'] } } }), 1);
  assert.equal(await count({ NOT: { about: { path: ['tag'], equals: 't1' } } }), 27);
  assert.equal(await count({ about: { equals: Prisma.DbNull } }), 0);
});

test('count, aggregate, groupBy', async () => {
  const where = { maker: { name: 'many' } };
  assert.deepEqual(await prisma.item.count({ where, select: { _all: true, weight: true } }), { _all: 40, weight: 2 });
  const { _avg, _sum, _min, _max, _count } = await prisma.item.aggregate({ where, _avg: { price: true, stock: true }, _sum: { price: true, stock: true, weight: true },
    _min: { name: true, price: true }, _max: { id: true, price: true }, _count: true });
  assert.deepEqual([Number(_avg.price), _avg.stock, _sum.price.toString(), _sum.stock, _sum.weight, _min.name, _min.price.toString(), typeof _max.id, _max.price.toString(), _count],
    [20, 1.5, '800', 60, 5, 'n0', '0.5', 'bigint', '39.5', 40]);
  const groups = await prisma.item.groupBy({ by: ['kind', 'stock'], where, _count: { _all: true }, _sum: { price: true }, having: { price: { _avg: { gt: 19.5 } } },
    orderBy: [{ _sum: { price: 'desc' } }], take: 2 });
  assert.deepEqual(groups.map((group) => ({ ...group, _sum: Number(group._sum.price) })),
    [{ kind: 'TOY', stock: 3, _count: { _all: 10 }, _sum: 215 }, { kind: 'BOOK', stock: 2, _count: { _all: 10 }, _sum: 205 }]);
});

test('vectors, raw statements', async () => {
  const items = await prisma.item.findMany({ where: { maker: { name: 'many' } }, select: { id: true, about: true } });
  const set = await prisma.$transaction(items.map(({ id, about }) => prisma.$executeRaw`UPDATE items SET embedding = ${pgvector.toSql([about.n, 1, 0])}::vector WHERE id = ${id}`));
  assert.deepEqual(new Set(set), new Set([1]));
  await prisma.$executeRaw`CREATE INDEX items_embedding ON items USING hnsw (embedding vector_l2_ops)`;
  const near = await prisma.$queryRaw`SELECT id, name, price, made, embedding::text FROM items WHERE price < ${20} ORDER BY embedding <-> ${pgvector.toSql([9.9, 1, 0])}::vector LIMIT ${2}`;
  assert.deepEqual(near.map((row) => [row.name, typeof row.id, row.price.toString(), row.made instanceof Date, pgvector.fromSql(row.embedding)]),
    [['n10', 'bigint', '10.5', true, [10, 1, 0]], ['n9', 'bigint', '9.5', true, [9, 1, 0]]]);
  const some = await prisma.$queryRaw`SELECT count(*) AS n, array_agg(name ORDER BY id) AS names FROM items WHERE name IN (${Prisma.join(['n1', 'n2'])}) AND tags && ${['x']} ${Prisma.sql`AND active = ${true}`}`;
  assert.deepEqual(some, [{ n: 2n, names: ['n1', 'n2'] }]);
  assert.deepEqual(await prisma.$queryRawUnsafe('SELECT $1::int AS a, $2::jsonb AS b, $3::date AS c, NULL AS d', 1, { x: 1 }, new Date(0)), [{ a: 1, b: { x: 1 }, c: new Date(0), d: null }]);
  assert.equal(await prisma.$executeRaw`INSERT INTO items (name, code, changed, embedding) SELECT name || ' copy', gen_random_uuid(), now(), embedding FROM items WHERE name = 'n7'`, 1);
  await assert.rejects(prisma.$queryRaw`SELECT * FROM nowhere`, (error) => error.code === 'P2010' && error.message.includes('42P01'));
  await assert.rejects(prisma.$queryRaw`SELECT '[1,2]'::vector(3)`, { code: 'P2010' });
});

test('transactions', async () => {
  const [count, maker] = await prisma.$transaction([prisma.maker.count(), prisma.maker.create({ data: { name: 'batch' } })], { isolationLevel: 'RepeatableRead' });
  assert.deepEqual([count, maker.name], [2, 'batch']);
  await assert.rejects(prisma.$transaction([prisma.maker.create({ data: { name: 'lost' } }), prisma.maker.create({ data: { name: 'one' } })]), { code: 'P2002' });
  for (const isolationLevel of ['ReadCommitted', 'RepeatableRead']) {
    const level = await prisma.$transaction(async (tx) => {
      await tx.maker.update({ where: { name: 'batch' }, data: { email: isolationLevel } });
      return (await tx.$queryRaw`SHOW transaction_isolation`)[0].transaction_isolation;
    }, { isolationLevel });
    assert.equal(level.replace(' ', ''), isolationLevel.toLowerCase());
  }
  await assert.rejects(prisma.$transaction(async (tx) => {
    await tx.maker.create({ data: { name: 'lost' } });
    assert.equal(await prisma.maker.count({ where: { name: 'lost' } }), 0);
    throw new Error('back');
  }), { message: 'back' });
  await assert.rejects(prisma.$transaction(async (tx) => {
    await tx.maker.create({ data: { name: 'late' } });
    await new Promise((done) => setTimeout(done, 400));
    await tx.maker.count();
  }, { timeout: 200 }), { code: 'P2028' });
  assert.equal(await prisma.maker.count({ where: { name: { in: ['lost', 'late'] } } }), 0);
  // Of two who write what both have read one is told to try again.
  const stock = async (wait) => prisma.$transaction(async (tx) => {
    const item = await tx.item.findFirst({ where: { name: 'n5' } });
    await wait();
    await tx.item.update({ where: { id: item.id }, data: { stock: item.stock + 1 } });
  }, { isolationLevel: 'RepeatableRead', timeout: 20000 });
  await assert.rejects(stock(() => stock(async () => {})), { code: 'P2034' });
});

test('serializable', async () => {
  const [{ transaction_isolation: level }] = await prisma.$transaction((tx) => tx.$queryRaw`SHOW transaction_isolation`, { isolationLevel: 'Serializable' });
  assert.equal(level, 'serializable');
});

test('errors', async () => {
  const fails = async (promise, code) => {
    const error = await promise.then(() => assert.fail('no error'), (error) => error);
    assert.equal(error.code, code, error.message);
    return error;
  };
  const { id } = await prisma.maker.findUnique({ where: { name: 'one' } });
  assert.match((await fails(prisma.maker.create({ data: { name: 'one' } }), 'P2002')).message, /`Maker_name_key`/);
  assert.match((await fails(prisma.item.create({ data: { makerId: id, name: 'third' } }), 'P2002')).message, /`items_makerId_name_key`/);
  assert.match((await fails(prisma.item.create({ data: { makerId: 999, name: 'x' } }), 'P2003')).message, /items_makerId_fkey/);
  await fails(prisma.maker.delete({ where: { id } }), 'P2003');
  await fails(prisma.maker.update({ where: { id: 999 }, data: { name: 'x' } }), 'P2025');
  await fails(prisma.maker.delete({ where: { id: 999 } }), 'P2025');
  await fails(prisma.maker.findUniqueOrThrow({ where: { id: 999 } }), 'P2025');
  await fails(prisma.item.create({ data: { name: 'x', maker: { connect: { id: 999 } } } }), 'P2025');
  await fails(prisma.maker.create({ data: { name: 'x', email: 'x'.repeat(81) } }), 'P2000');
  await fails(prisma.item.create({ data: { name: 'x', price: '123456789.00' } }), 'P2020');
  assert.match((await fails(prisma.$executeRaw`INSERT INTO items (name) VALUES (NULL)`, 'P2010')).message, /23502/);
});
