"""SQLAlchemy with pgvector's column types: the ORM, reflection, Alembic's autogenerate, over four drivers."""
import datetime
import decimal
import unittest
import uuid

import numpy as np
from alembic.autogenerate import compare_metadata, produce_migrations
from alembic.migration import MigrationContext
from alembic.operations import Operations
from pgvector.sqlalchemy import HALFVEC, Vector
from sqlalchemy import (BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Index, Integer, MetaData, Numeric, String,
                        Table, Text, UniqueConstraint, create_engine, delete, func, inspect, select, text, update)
from sqlalchemy.dialects.postgresql import ARRAY, DATERANGE, INT4RANGE, JSONB, TSTZRANGE, Range, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

import server


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "orm_items"
    id = mapped_column(Integer, primary_key=True)
    kind = mapped_column(Text, nullable=False)
    embedding = mapped_column(Vector(3))


Index("orm_items_embedding", Item.embedding, postgresql_using="hnsw",
      postgresql_with={"m": 16, "ef_construction": 64}, postgresql_ops={"embedding": "vector_l2_ops"})


class Orm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = create_engine(server.url().replace("postgres://", "postgresql+psycopg://"))
        with cls.engine.begin() as conn:
            conn.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
        Base.metadata.drop_all(cls.engine)
        Base.metadata.create_all(cls.engine)

    @classmethod
    def tearDownClass(cls):
        Base.metadata.drop_all(cls.engine)
        cls.engine.dispose()

    def setUp(self):
        with Session(self.engine) as session, session.begin():
            session.query(Item).delete()
            session.add_all([Item(kind="ab"[i % 2], embedding=[i, 0, 1]) for i in range(20)])

    def test_nearest_with_a_filter(self):
        with Session(self.engine) as session:
            query = select(Item).where(Item.kind == "a").order_by(Item.embedding.l2_distance([7, 0, 1])).limit(4)
            found = session.scalars(query).all()
            self.assertEqual({int(item.embedding[0]) for item in found}, {6, 8, 4, 10})
            for distance in (Item.embedding.cosine_distance, Item.embedding.max_inner_product,
                             Item.embedding.l1_distance):
                self.assertEqual(len(session.scalars(select(Item).order_by(distance([1, 2, 3])).limit(3)).all()), 3)

    def test_update_delete_and_aggregates(self):
        with Session(self.engine) as session, session.begin():
            item = session.scalars(select(Item).order_by(Item.id).limit(1)).one()
            item.embedding = np.array([100, 0, 1])
            session.flush()
            nearest = session.scalars(select(Item).order_by(Item.embedding.l2_distance([101, 0, 1])).limit(1)).one()
            self.assertEqual(nearest.id, item.id)
            session.delete(nearest)
        with Session(self.engine) as session:
            self.assertEqual(session.scalar(select(func.count()).select_from(Item)), 19)

    def test_rollback_takes_it_back(self):
        with Session(self.engine) as session:
            session.add(Item(kind="c", embedding=[50, 50, 50]))
            session.flush()
            nearest = select(Item.kind).order_by(Item.embedding.l2_distance([50, 50, 50])).limit(1)
            self.assertEqual(session.scalar(nearest), "c")
            session.rollback()
            self.assertNotEqual(session.scalar(nearest), "c")

    def test_reflection(self):
        inspector = inspect(self.engine)
        self.assertIn("orm_items", inspector.get_table_names())
        names = [column["name"] for column in inspector.get_columns("orm_items")]
        self.assertEqual(names, ["id", "kind", "embedding"])
        self.assertEqual(inspector.get_pk_constraint("orm_items")["constrained_columns"], ["id"])

    def test_errors_keep_their_sqlstate(self):
        with Session(self.engine) as session:
            first = session.scalars(select(Item).order_by(Item.id).limit(1)).one()
            session.expunge_all()
            session.add(Item(id=first.id, kind="twice"))
            with self.assertRaises(IntegrityError) as caught:
                session.flush()
            self.assertEqual(caught.exception.orig.sqlstate, "23505")
            session.rollback()
            with session.begin_nested():
                session.add(Item(kind="nested", embedding=[9, 9, 9]))
            self.assertEqual(session.scalar(select(func.count()).where(Item.kind == "nested")), 1)

    def test_bulk_insert_upsert_and_returning(self):
        with Session(self.engine) as session, session.begin():
            ids = session.scalars(insert(Item).returning(Item.id, sort_by_parameter_order=True),
                                  [{"kind": str(i), "embedding": [i, 1, 2]} for i in range(1500)]).all()
            self.assertEqual(len(ids), 1500)
            self.assertEqual(ids, sorted(ids))
            upsert = insert(Item).values(id=ids[0], kind="again", embedding=[0, 0, 0])
            upsert = upsert.on_conflict_do_update(index_elements=[Item.id], set_={"kind": upsert.excluded.kind})
            self.assertEqual(session.scalar(upsert.returning(Item.kind)), "again")
            done = session.execute(update(Item).where(Item.id.in_(ids[:3])).values(kind="u"))
            self.assertEqual(done.rowcount, 3)
            done = session.execute(delete(Item).where(Item.id.in_(ids)))
            self.assertEqual(done.rowcount, 1500)


class Shop(DeclarativeBase):
    pass


class Maker(Shop):
    __tablename__ = "shop_makers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    since: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    products: Mapped[list["Product"]] = relationship(back_populates="maker", cascade="all, delete-orphan")


class Product(Shop):
    __tablename__ = "shop_products"
    __table_args__ = (
        CheckConstraint("price > 0", name="price_is_positive"),
        UniqueConstraint("maker_id", "name", name="one_name_per_maker"),
        Index("products_by_price", "price"),
        Index("products_by_embedding", "embedding", postgresql_using="hnsw",
              postgresql_with={"m": 12, "ef_construction": 50}, postgresql_ops={"embedding": "vector_cosine_ops"}),
        {"comment": "what is sold"},
    )
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    maker_id: Mapped[int] = mapped_column(ForeignKey("shop_makers.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text, comment="as printed")
    price: Mapped[decimal.Decimal] = mapped_column(Numeric(10, 2))
    about: Mapped[dict | None] = mapped_column(JSONB)
    tags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    code: Mapped[uuid.UUID] = mapped_column(server_default=func.gen_random_uuid())
    active: Mapped[bool] = mapped_column(default=True)
    embedding: Mapped[np.ndarray | None] = mapped_column(Vector(3))
    half: Mapped[np.ndarray | None] = mapped_column(HALFVEC(3))
    maker: Mapped[Maker] = relationship(back_populates="products")


class Reflection(unittest.TestCase):
    """What inspect() and MetaData.reflect() find is what was made, and Alembic sees nothing to change."""

    drivers = ["postgresql+psycopg://", "postgresql+psycopg2://", "postgresql+pg8000://"]

    @classmethod
    def setUpClass(cls):
        cls.engine = create_engine(server.url().replace("postgres://", "postgresql+psycopg://"))
        with cls.engine.begin() as conn:
            conn.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
        Shop.metadata.drop_all(cls.engine)
        Shop.metadata.create_all(cls.engine)

    @classmethod
    def tearDownClass(cls):
        Shop.metadata.drop_all(cls.engine)
        cls.engine.dispose()

    def test_relationships(self):
        with Session(self.engine) as session, session.begin():
            maker = Maker(name="Bialetti", products=[
                Product(name=n, price=decimal.Decimal("12.50") + i, about={"n": i}, tags=["a", n], embedding=[i, 1, 0],
                        half=[i, 0, 0])
                for i, n in enumerate(["moka", "brikka", "venus"])])
            session.add(maker)
        with Session(self.engine) as session, session.begin():
            query = (select(Product).join(Product.maker).options(selectinload(Product.maker))
                     .where(Maker.name == "Bialetti", Product.price < 14, Product.tags.contains(["a"]))
                     .order_by(Product.embedding.cosine_distance([1, 1, 0])).limit(2))
            found = session.scalars(query).all()
            self.assertEqual([p.name for p in found], ["brikka", "moka"])
            self.assertEqual((found[0].about, found[0].price, found[0].maker.name), ({"n": 1}, decimal.Decimal("13.50"), "Bialetti"))
            self.assertIsInstance(found[0].code, uuid.UUID)
            self.assertEqual(session.scalar(select(Product.about["n"].as_integer()).where(Product.name == "venus")), 2)
            session.delete(found[0].maker)
            session.flush()
            self.assertEqual(session.scalar(select(func.count()).select_from(Product)), 0)

    def test_inspect(self):
        for driver in self.drivers:
            engine = create_engine(server.url().replace("postgres://", driver))
            with self.subTest(driver):
                inspector = inspect(engine)
                columns = {column["name"]: column for column in inspector.get_columns("shop_products")}
                self.assertEqual(list(columns), ["id", "maker_id", "name", "price", "about", "tags", "code", "active",
                                                 "embedding", "half"])
                types = {name: str(column["type"].compile(engine.dialect)) for name, column in columns.items()}
                self.assertEqual(types, {
                    "id": "BIGINT", "maker_id": "INTEGER", "name": "TEXT", "price": "NUMERIC(10, 2)", "about": "JSONB",
                    "tags": "TEXT[]", "code": "UUID", "active": "BOOLEAN", "embedding": "VECTOR(3)", "half": "HALFVEC(3)"})
                self.assertEqual(columns["name"]["comment"], "as printed")
                self.assertFalse(columns["name"]["nullable"])
                self.assertEqual(columns["id"]["default"], "nextval('shop_products_id_seq'::regclass)")
                self.assertEqual(columns["code"]["default"], "gen_random_uuid()")
                self.assertEqual(inspector.get_table_comment("shop_products"), {"text": "what is sold"})
                self.assertEqual(inspector.get_foreign_keys("shop_products"), [{
                    "name": "shop_products_maker_id_fkey", "constrained_columns": ["maker_id"], "referred_schema": None,
                    "referred_table": "shop_makers", "referred_columns": ["id"], "options": {"ondelete": "CASCADE"},
                    "comment": None}])
                self.assertEqual([u["name"] for u in inspector.get_unique_constraints("shop_products")], ["one_name_per_maker"])
                self.assertEqual(inspector.get_unique_constraints("shop_products")[0]["column_names"], ["maker_id", "name"])
                # PostgreSQL shows the cast that it understood: price > 0::numeric.
                [check] = inspector.get_check_constraints("shop_products")
                self.assertEqual((check["name"], check["sqltext"].removesuffix("::numeric")), ("price_is_positive", "price > 0"))
                indexes = {index["name"]: index for index in inspector.get_indexes("shop_products")}
                self.assertEqual(set(indexes), {"one_name_per_maker", "products_by_price", "products_by_embedding"})
                hnsw = indexes["products_by_embedding"]
                self.assertEqual(hnsw["column_names"], ["embedding"])
                self.assertEqual(hnsw["dialect_options"]["postgresql_using"], "hnsw")
                self.assertEqual(hnsw["dialect_options"]["postgresql_with"], {"m": "12", "ef_construction": "50"})
                self.assertEqual(inspector.get_pk_constraint("shop_products")["name"], "shop_products_pkey")
                self.assertIn("public", inspector.get_schema_names())
                self.assertIn("shop_products_id_seq", inspector.get_sequence_names())
                self.assertTrue(inspector.has_table("shop_products"))
                self.assertFalse(inspector.has_table("nowhere"))
                self.assertEqual(inspector.get_view_names(), [])
                self.assertEqual(inspector.get_enums(), [])
            engine.dispose()

    def test_reflected_tables_make_themselves_again(self):
        metadata = MetaData()
        metadata.reflect(self.engine, only=["shop_makers", "shop_products"])
        products = metadata.tables["shop_products"]
        self.assertEqual(str(products.c.embedding.type), "VECTOR(3)")
        metadata.drop_all(self.engine)
        metadata.create_all(self.engine)
        self.test_inspect()

    def test_ranges(self):
        metadata = MetaData()
        stays = Table("shop_stays", metadata, Column("id", Integer, primary_key=True), Column("days", DATERANGE),
                      Column("seats", INT4RANGE), Column("valid", TSTZRANGE))
        days = Range(datetime.date(2024, 2, 1), datetime.date(2024, 3, 1))
        for driver in ["postgresql+psycopg://", "postgresql+psycopg2://", "postgresql+pg8000://"]:
            engine = create_engine(server.url().replace("postgres://", driver))
            with self.subTest(driver), engine.begin() as conn:
                metadata.drop_all(conn)
                metadata.create_all(conn)
                conn.execute(stays.insert(), [{"id": 1, "days": days, "seats": Range(1, 5)}])
                row = conn.execute(select(stays)).one()
                self.assertEqual((row.days, row.seats, row.valid), (days, Range(1, 5), None))
                found = conn.execute(select(stays.c.id).where(stays.c.days.contains(datetime.date(2024, 2, 29))))
                self.assertEqual(found.all(), [(1,)])
                found = conn.execute(select(stays.c.id).where(stays.c.days.overlaps(days), func.lower(stays.c.seats) == 1))
                self.assertEqual(found.all(), [(1,)])
                types = [str(column["type"]) for column in inspect(conn).get_columns("shop_stays")]
                self.assertEqual(types, ["INTEGER", "DATERANGE", "INT4RANGE", "TSTZRANGE"])
                metadata.drop_all(conn)
            engine.dispose()

    def test_views(self):
        with self.engine.begin() as conn:
            conn.execute(text("CREATE VIEW cheap AS SELECT id, name FROM shop_products WHERE price < 10"))
        try:
            inspector = inspect(self.engine)
            self.assertEqual(inspector.get_view_names(), ["cheap"])
            self.assertIn("shop_products", inspector.get_view_definition("cheap"))
            self.assertEqual([c["name"] for c in inspector.get_columns("cheap")], ["id", "name"])
        finally:
            with self.engine.begin() as conn:
                conn.execute(text("DROP VIEW cheap"))

    def test_alembic_sees_no_difference(self):
        with self.engine.connect() as conn:
            context = MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": True,
                                                             "include_name": lambda name, kind, _: kind != "table" or name.startswith("shop_")})
            self.assertEqual(compare_metadata(context, Shop.metadata), [])

    def test_alembic_changes(self):
        later = MetaData()
        for table in Shop.metadata.sorted_tables:
            table.to_metadata(later)
        later.tables["shop_makers"].append_column(Column("country", String(2), server_default="IT"))
        Table("shop_orders", later, Column("id", Integer, primary_key=True),
              Column("product_id", BigInteger, ForeignKey("shop_products.id")))
        only = {"include_name": lambda name, kind, _: kind != "table" or name.startswith("shop_"), "compare_type": True}
        with self.engine.begin() as conn:
            context = MigrationContext.configure(conn, opts=only)
            migration = produce_migrations(context, later)
            operations = Operations(context)
            for operation in flat(migration.upgrade_ops):
                operations.invoke(operation)
            self.assertEqual(compare_metadata(MigrationContext.configure(conn, opts=only), later), [])
            for operation in flat(migration.downgrade_ops):
                operations.invoke(operation)
            self.assertEqual(compare_metadata(MigrationContext.configure(conn, opts=only), Shop.metadata), [])


def flat(operations):
    for operation in operations.ops:
        if hasattr(operation, "ops"):
            yield from flat(operation)
        else:
            yield operation


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    async def test_asyncpg_underneath(self):
        engine = create_async_engine(server.url().replace("postgres://", "postgresql+asyncpg://"))
        async with engine.begin() as conn:
            await conn.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
            await conn.run_sync(Base.metadata.drop_all)
            await conn.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            session.add_all([Item(kind="ab"[i % 2], embedding=[i, 0, 1]) for i in range(20)])
            await session.commit()
            found = await session.scalars(select(Item).where(Item.kind == "b").order_by(Item.embedding.l2_distance([7, 0, 1])).limit(2))
            self.assertEqual(len(found.all()), 2)
            stream = await session.stream(select(Item.id).order_by(Item.id))
            self.assertEqual([row[0] async for row in stream], list(range(1, 21)))
        async with engine.begin() as conn:
            names = await conn.run_sync(lambda sync: inspect(sync).get_table_names())
            self.assertIn("orm_items", names)
            columns = await conn.run_sync(lambda sync: inspect(sync).get_columns("orm_items"))
            self.assertEqual([c["name"] for c in columns], ["id", "kind", "embedding"])
            await conn.run_sync(Base.metadata.drop_all)
        await engine.dispose()


if __name__ == "__main__":
    unittest.main()
