"""SQLAlchemy's ORM over psycopg, with pgvector's column type: create, insert, filter, order by distance, roll back."""
import unittest

import numpy as np
from pgvector.sqlalchemy import Vector
from sqlalchemy import Index, Integer, Text, create_engine, func, inspect, select, text
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column

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


if __name__ == "__main__":
    unittest.main()
