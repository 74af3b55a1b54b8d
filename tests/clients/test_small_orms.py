"""SQLModel, peewee and pandas: a short tour of each."""
import datetime
import unittest
from typing import Any, Optional

import numpy as np
import pandas as pd
import peewee
from pgvector.peewee import VectorField
from pgvector.sqlalchemy import Vector
from playhouse.postgres_ext import ArrayField, BinaryJSONField
from playhouse.reflection import Introspector
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Relationship, Session, SQLModel, select

import server


def engine():
    made = create_engine(server.url().replace("postgres://", "postgresql+psycopg://"))
    with made.begin() as conn:
        conn.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    return made


class Team(SQLModel, table=True):
    __tablename__ = "model_teams"
    id: Optional[int] = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    notes: list["Note"] = Relationship(back_populates="team")


class Note(SQLModel, table=True):
    __tablename__ = "model_notes"
    id: Optional[int] = Field(default=None, primary_key=True)
    team_id: int = Field(foreign_key="model_teams.id")
    text: str = Field(index=True)
    embedding: Any = Field(sa_type=Vector(3))
    team: Team = Relationship(back_populates="notes")


class SqlModel(unittest.TestCase):
    def test_a_tour(self):
        made = engine()
        SQLModel.metadata.drop_all(made)
        SQLModel.metadata.create_all(made)
        with Session(made) as session:
            team = Team(name="one", notes=[Note(text=f"n{i}", embedding=[i, 0, 0]) for i in range(30)])
            session.add(team)
            session.commit()
            query = (select(Note).join(Team).where(Team.name == "one", Note.text != "n4")
                     .order_by(Note.embedding.l2_distance([4.1, 0, 0])).limit(2))
            self.assertEqual([note.text for note in session.exec(query)], ["n5", "n3"])
            note = session.exec(select(Note).where(Note.text == "n9")).one()
            note.embedding = np.array([100, 0, 0])
            session.add(note)
            session.commit()
            session.refresh(note)
            self.assertEqual(note.team.name, "one")
            session.add(Team(name="one"))
            with self.assertRaises(IntegrityError) as caught:
                session.commit()
            self.assertEqual(caught.exception.orig.sqlstate, "23505")
        SQLModel.metadata.drop_all(made)
        made.dispose()


database = peewee.PostgresqlDatabase(None)


class Page(peewee.Model):
    name = peewee.CharField(unique=True, max_length=40)
    tags = ArrayField(peewee.TextField, null=True)
    about = BinaryJSONField(null=True)
    made = peewee.DateTimeField(default=datetime.datetime.now)
    embedding = VectorField(dimensions=3, null=True)

    class Meta:
        database = database
        table_name = "peewee_pages"


class Link(peewee.Model):
    page = peewee.ForeignKeyField(Page, backref="links", on_delete="CASCADE")
    target = peewee.TextField(index=True)

    class Meta:
        database = database
        table_name = "peewee_links"


Page.add_index("embedding vector_l2_ops", using="hnsw")


class Peewee(unittest.TestCase):
    def setUp(self):
        parts = server.address()
        database.init(parts["database"], user=parts["user"], host=parts["host"], port=parts["port"])
        database.connect()
        database.execute_sql("CREATE EXTENSION IF NOT EXISTS vector")
        database.drop_tables([Link, Page])
        database.create_tables([Page, Link])

    def tearDown(self):
        database.drop_tables([Link, Page])
        database.close()

    def test_a_tour(self):
        Page.insert_many([{"name": f"p{i}", "tags": ["t", "ab"[i % 2]], "about": {"n": i}, "embedding": [i, 0, 0]}
                          for i in range(30)]).execute()
        near = Page.embedding.l2_distance([4.1, 0, 0])
        query = Page.select().where(Page.tags.contains("a")).order_by(near).limit(2)
        self.assertEqual([page.name for page in query], ["p4", "p6"])
        page = Page.get(Page.name == "p7")
        self.assertEqual((page.tags, page.about), (["t", "b"], {"n": 7}))
        Link.create(page=page, target="x")
        self.assertEqual(page.links.count(), 1)
        with self.assertRaises(peewee.IntegrityError), database.atomic():
            Page.create(name="lost")
            Page.create(name="p1")
        with database.atomic() as outer:
            with database.atomic() as inner:
                Page.create(name="inner")
                inner.rollback()
            Page.create(name="outer")
        self.assertEqual(Page.select().where(Page.name << ["inner", "outer", "lost"]).count(), 1)
        self.assertEqual(Page.update(name="q").where(Page.id == 1).execute(), 1)
        Page.insert(name="q", about={"n": -1}).on_conflict(
            conflict_target=[Page.name], preserve=[Page.about]).execute()
        self.assertEqual(Page.get(Page.name == "q").about, {"n": -1})
        self.assertEqual(page.delete_instance(), 1)
        self.assertEqual(Link.select().count(), 0)

    def test_introspection(self):
        self.assertLessEqual({"peewee_pages", "peewee_links"}, set(database.get_tables()))
        columns = database.get_columns("peewee_pages")
        self.assertEqual([(c.name, c.null, c.primary_key) for c in columns], [
            ("id", False, True), ("name", False, False), ("tags", True, False), ("about", True, False),
            ("made", False, False), ("embedding", True, False)])
        self.assertEqual(database.get_primary_keys("peewee_pages"), ["id"])
        key = database.get_foreign_keys("peewee_links")[0]
        self.assertEqual((key.column, key.dest_table, key.dest_column), ("page_id", "peewee_pages", "id"))
        indexes = {index.name: (index.columns, index.unique) for index in database.get_indexes("peewee_pages")}
        self.assertEqual(indexes["page_name"] if "page_name" in indexes else indexes["peewee_pages_name"], (["name"], True))
        models = Introspector.from_database(database).generate_models(table_names=["peewee_links"])
        self.assertIn("peewee_links", models)


class Pandas(unittest.TestCase):
    def test_a_frame_goes_both_ways(self):
        made = engine()
        frame = pd.DataFrame({"id": [1, 2, 3], "name": ["a", "b", None], "price": [1.5, 2.5, None],
                              "at": pd.to_datetime(["2024-01-01", "2024-02-29", "2024-03-01"]), "ok": [True, False, True]})
        for method in (None, "multi"):
            frame.to_sql("frames", made, if_exists="replace", index=False, method=method)
            back = pd.read_sql("SELECT * FROM frames ORDER BY id", made)
            self.assertEqual(list(back.columns), list(frame.columns))
            self.assertTrue(back["price"].equals(frame["price"]))
            self.assertEqual(str(back["at"].dtype).split("[")[0], "datetime64")
        frame.to_sql("frames", made, if_exists="append", index=False)
        self.assertEqual(len(pd.read_sql_table("frames", made)), 6)
        self.assertEqual(sum(len(part) for part in pd.read_sql("SELECT id FROM frames", made, chunksize=4)), 6)
        with made.begin() as conn:
            conn.execute(text("ALTER TABLE frames ADD COLUMN embedding vector(3)"))
            conn.execute(text("UPDATE frames SET embedding = ARRAY[id::int4, 0, 0]::vector"))
        near = pd.read_sql(text("SELECT id FROM frames WHERE ok ORDER BY embedding <-> :q LIMIT 2"), made,
                           params={"q": "[3,0,0]"})
        self.assertEqual(list(near["id"]), [3, 3])
        with made.begin() as conn:
            conn.execute(text("DROP TABLE frames"))
        made.dispose()


if __name__ == "__main__":
    unittest.main()
