"""Django with pgvector.django: migrations, inspectdb, the ORM, and TestCase, whose tests are savepoints."""
import decimal
import io
import unittest
import uuid

import django
from django.conf import settings

import server

address = server.address()
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": address["database"],
                           "USER": address["user"], "HOST": address["host"], "PORT": address["port"]}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions",
                    "django.contrib.postgres", "django_shop"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connection, transaction  # noqa: E402
from django.db.models import Avg, Count, F, Q, Sum  # noqa: E402
from django.test import TestCase, TransactionTestCase  # noqa: E402
from pgvector.django import CosineDistance, L2Distance  # noqa: E402

from django_shop.models import Maker, Product  # noqa: E402


def command(*arguments, **options):
    out = io.StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def drop_all():
    with connection.cursor() as cursor:
        for name in connection.introspection.table_names(cursor):
            if name.startswith(("django_", "auth_")):
                cursor.execute(f'DROP TABLE "{name}" CASCADE')


def setUpModule():
    drop_all()
    command("migrate")


def tearDownModule():
    drop_all()
    connection.close()


class Migrations(unittest.TestCase):
    def test_nothing_is_left_to_do(self):
        self.assertIn("No changes detected", command("makemigrations", check=True, dry_run=True))
        self.assertIn("No migrations to apply", command("migrate"))
        self.assertNotIn("[ ]", command("showmigrations"))

    def test_back_and_forth(self):
        command("migrate", "django_shop", "0001")
        command("migrate", "django_shop")

    def test_checks(self):
        self.assertIn("no issues", command("check", databases=["default"]))

    def test_inspectdb(self):
        text = command("inspectdb", "django_shop_product", "django_shop_maker")
        for line in [
            "id = models.BigAutoField(primary_key=True)",
            "maker = models.ForeignKey('DjangoShopMaker', models.DO_NOTHING)",
            "price = models.DecimalField(max_digits=10, decimal_places=2)",
            "about = models.JSONField(blank=True, null=True)",
            "name = models.CharField(unique=True, max_length=80)",
            "unique_together = (('maker', 'name'),)",
        ]:
            self.assertIn(line, text)

    def test_introspection(self):
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, "django_shop_product")
            self.assertEqual(connection.introspection.get_primary_key_column(cursor, "django_shop_product"), "id")
            self.assertEqual(connection.introspection.get_relations(cursor, "django_shop_product"),
                             {"maker_id": ("id", "django_shop_maker")})
            self.assertEqual(connection.introspection.get_sequences(cursor, "django_shop_product"), [
                {"name": "django_shop_product_id_seq", "table": "django_shop_product", "column": "id"}])
        self.assertEqual((found["product_embedding"]["columns"], found["product_embedding"]["type"]), (["embedding"], "hnsw"))
        self.assertTrue(found["price_is_positive"]["check"])
        self.assertEqual(found["one_name_per_maker"]["columns"], ["maker_id", "name"])
        self.assertTrue(found["one_name_per_maker"]["unique"])
        self.assertEqual(sum(c["foreign_key"] is not None for c in found.values()), 1)


class Orm(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.maker = Maker.objects.create(name="Bialetti")
        Product.objects.bulk_create(
            Product(maker=cls.maker, name=f"p{i}", price=decimal.Decimal(i + 1), about={"n": i, "kind": "ab"[i % 2]},
                    code=uuid.UUID(int=i), embedding=[i, 1, 0], half=[i, 0, 0]) for i in range(40))

    def test_nearest_with_filters(self):
        found = Product.objects.filter(price__lt=20, about__kind="a").order_by(L2Distance("embedding", [9.9, 1, 0]))[:2]
        self.assertEqual([p.name for p in found], ["p10", "p8"])
        found = Product.objects.annotate(d=CosineDistance("embedding", [1, 1, 0])).filter(d__lt=0.5).order_by("d")[:3]
        self.assertEqual(found[0].name, "p1")
        self.assertEqual(Product.objects.alias(d=L2Distance("half", [3, 0, 0])).order_by("d").first().name, "p3")

    def test_dates_of_a_zone(self):
        self.assertEqual(Product.objects.filter(made__year__gte=2000).dates("made", "year").count(), 1)

    def test_aggregates_and_updates(self):
        numbers = Product.objects.aggregate(n=Count("id"), total=Sum("price"), mean=Avg("price"))
        self.assertEqual((numbers["n"], numbers["total"], numbers["mean"]), (40, decimal.Decimal(820), decimal.Decimal("20.5")))
        self.assertEqual(Product.objects.filter(Q(price__gt=38) | Q(name="p0")).update(price=F("price") + 1), 3)
        groups = Product.objects.values("maker__name").annotate(n=Count("id"))
        self.assertEqual(list(groups), [{"maker__name": "Bialetti", "n": 40}])
        Product.objects.update_or_create(maker=self.maker, name="p1", defaults={"price": 7})
        _, created = Product.objects.get_or_create(maker=self.maker, name="new", defaults={"price": 7})
        self.assertTrue(created)
        Product.objects.bulk_create([Product(maker=self.maker, name="p2", price=99)], update_conflicts=True,
                                    unique_fields=["maker", "name"], update_fields=["price"])
        self.assertEqual(Product.objects.get(name="p2").price, 99)
        self.assertEqual(Product.objects.select_for_update().get(name="p3").maker_id, self.maker.id)
        self.assertEqual(Product.objects.filter(name__icontains="P3").count(), 11)
        self.assertEqual(Product.objects.filter(name__startswith="p3").exclude(name__endswith="9").count(), 10)
        self.assertEqual(len(list(Product.objects.iterator(chunk_size=7))), 41)
        self.assertTrue(Product.objects.filter(name="p5").exists())
        self.assertEqual(Product.objects.in_bulk([Product.objects.get(name="p5").pk]).popitem()[1].name, "p5")

    def test_savepoints(self):
        with self.assertRaises(IntegrityError) as caught, transaction.atomic():
            Maker.objects.create(name="lost")
            Maker.objects.create(name="Bialetti")
        self.assertEqual(caught.exception.__cause__.sqlstate, "23505")
        with self.assertRaises(IntegrityError) as caught, transaction.atomic():
            Product.objects.create(maker=self.maker, name="cheap", price=-1)
        self.assertEqual(caught.exception.__cause__.sqlstate, "23514")
        self.assertEqual(Maker.objects.count(), 1)

    def test_deletes_cascade(self):
        count, by_model = self.maker.delete()
        self.assertEqual((count, by_model["django_shop.Product"]), (41, 40))

    def test_prefetch_and_subqueries(self):
        from django.db.models import Exists, OuterRef, Subquery
        maker = Maker.objects.prefetch_related("products").get()
        self.assertEqual(len(maker.products.all()), 40)
        cheapest = Product.objects.filter(maker=OuterRef("pk")).order_by("price").values("name")[:1]
        self.assertEqual(Maker.objects.annotate(cheapest=Subquery(cheapest)).get().cheapest, "p0")
        self.assertTrue(Maker.objects.filter(Exists(Product.objects.filter(maker=OuterRef("pk"), price__gt=39))).exists())

    def test_auth(self):
        from django.contrib.auth.models import User
        user = User.objects.create_user("ada", "a@b.c", "secret")
        self.assertTrue(User.objects.get(pk=user.pk).check_password("secret"))
        self.assertGreater(len(user.get_all_permissions()) + user.user_permissions.count() + 1, 0)


class Flush(TransactionTestCase):
    """Its tables are emptied by TRUNCATE after each test."""
    available_apps = ["django_shop"]

    def test_commits(self):
        done = []
        with transaction.atomic():
            Maker.objects.create(name="one")
            transaction.on_commit(lambda: done.append(1))
        self.assertEqual(done, [1])
        self.assertEqual(Maker.objects.count(), 1)

    def test_the_other_left_nothing(self):
        self.assertEqual(Maker.objects.count(), 0)


if __name__ == "__main__":
    unittest.main()
