import django.db.models.deletion
import pgvector.django.halfvec
import pgvector.django.indexes
import pgvector.django.vector
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('django_shop', '0001_vector'),
    ]

    operations = [
        migrations.CreateModel(
            name='Maker',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80, unique=True)),
            ],
        ),
        migrations.CreateModel(
            name='Product',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.TextField()),
                ('price', models.DecimalField(decimal_places=2, max_digits=10)),
                ('about', models.JSONField(null=True)),
                ('code', models.UUIDField(null=True)),
                ('made', models.DateTimeField(auto_now_add=True)),
                ('active', models.BooleanField(default=True)),
                ('embedding', pgvector.django.vector.VectorField(dimensions=3, null=True)),
                ('half', pgvector.django.halfvec.HalfVectorField(dimensions=3, null=True)),
                ('maker', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='products', to='django_shop.maker')),
            ],
            options={
                'indexes': [pgvector.django.indexes.HnswIndex(ef_construction=64, fields=['embedding'], m=16, name='product_embedding', opclasses=['vector_cosine_ops']), models.Index(fields=['price'], name='product_price')],
                'constraints': [models.CheckConstraint(condition=models.Q(('price__gt', 0)), name='price_is_positive'), models.UniqueConstraint(fields=('maker', 'name'), name='one_name_per_maker')],
            },
        ),
    ]
