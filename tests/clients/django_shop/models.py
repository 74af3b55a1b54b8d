"""The models of test_django.py's application."""
from django.db import models
from pgvector.django import HalfVectorField, HnswIndex, VectorField


class Maker(models.Model):
    name = models.CharField(max_length=80, unique=True)


class Product(models.Model):
    maker = models.ForeignKey(Maker, on_delete=models.CASCADE, related_name="products")
    name = models.TextField()
    price = models.DecimalField(max_digits=10, decimal_places=2)
    about = models.JSONField(null=True)
    code = models.UUIDField(null=True)
    made = models.DateTimeField(auto_now_add=True)
    active = models.BooleanField(default=True)
    embedding = VectorField(dimensions=3, null=True)
    half = HalfVectorField(dimensions=3, null=True)

    class Meta:
        indexes = [
            HnswIndex(name="product_embedding", fields=["embedding"], m=16, ef_construction=64, opclasses=["vector_cosine_ops"]),
            models.Index(fields=["price"], name="product_price"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(price__gt=0), name="price_is_positive"),
            models.UniqueConstraint(fields=["maker", "name"], name="one_name_per_maker"),
        ]
