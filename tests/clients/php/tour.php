<?php
// PHP: PDO, pgsql, Doctrine DBAL and Laravel's database package (Debian's php-pgsql, php-doctrine-dbal, php-illuminate-database). HITHER_URL names the server.
require_once '/usr/share/php/Doctrine/DBAL/autoload.php';
require_once '/usr/share/php/Illuminate/Database/autoload.php';
use Doctrine\DBAL\{DriverManager, Schema\Schema, Schema\Comparator};
use Illuminate\Database\Capsule\Manager as Capsule;

$u = parse_url(getenv('HITHER_URL'));
[$host, $port, $db] = [$u['host'], $u['port'], substr($u['path'], 1)];
$failed = 0; $passed = 0;
function check($ok, $what) { if (!$ok) throw new Exception("not so: $what"); }
function tour($name, $body) { global $failed, $passed; try { $body(); $passed++; } catch (Throwable $e) { $failed++; echo "FAILED $name: ", substr($e->getMessage(), 0, 700), ' (line ', $e->getLine(), ")\n"; } }

tour('pdo', function () use ($host, $port, $db) {
    foreach ([false, true] as $emulate) {
        $pdo = new PDO("pgsql:host=$host;port=$port;dbname=$db", 'postgres', '', [PDO::ATTR_EMULATE_PREPARES => $emulate]);
        $pdo->exec('CREATE EXTENSION IF NOT EXISTS vector'); $pdo->exec('DROP TABLE IF EXISTS pdo_items');
        $pdo->exec('CREATE TABLE pdo_items (id serial PRIMARY KEY, name text UNIQUE, ok bool, embedding vector(3))');
        $s = $pdo->prepare('INSERT INTO pdo_items (name, ok, embedding) VALUES (:n, :ok, :e)');
        for ($i = 0; $i < 20; $i++) { $s->bindValue(':n', "n$i"); $s->bindValue(':ok', $i % 2 == 0, PDO::PARAM_BOOL); $s->bindValue(':e', "[$i,0,0]"); $s->execute(); }
        check($pdo->lastInsertId() == 20, 'lastInsertId');
        check($pdo->lastInsertId('pdo_items_id_seq') == 20, 'lastInsertId of a sequence');
        $s = $pdo->prepare('SELECT id, name, ok FROM pdo_items WHERE ok AND id < ? ORDER BY embedding <-> ? LIMIT 2'); $s->execute([15, '[9.9,0,0]']);
        check($s->fetchAll(PDO::FETCH_COLUMN, 1) == ['n10', 'n8'], 'near');
        check($s->getColumnMeta(0)['native_type'] == 'int4', 'getColumnMeta');
        $pdo->pgsqlCopyFromArray('pdo_items', ["100\ta\tt\t[1,2,3]"], "\t");
        check(count($pdo->pgsqlCopyToArray('pdo_items')) == 21, 'copy');
        try { $pdo->exec("INSERT INTO pdo_items (name) VALUES ('a')"); check(false, 'unique'); } catch (PDOException $e) { check($e->getCode() == '23505', 'code'); }
        $pdo->beginTransaction(); $pdo->exec('DELETE FROM pdo_items'); $pdo->rollBack();
        check($pdo->query('SELECT count(*) FROM pdo_items')->fetchColumn() == 21, 'rollback');
    }
});
tour('pgsql', function () use ($host, $port, $db) {
    $c = pg_connect("host=$host port=$port dbname=$db user=postgres");
    pg_query($c, 'DROP TABLE IF EXISTS pg_items; CREATE TABLE pg_items (id int PRIMARY KEY, name text, embedding vector(3))');
    check(pg_insert($c, 'pg_items', ['id' => 1, 'name' => 'a']) !== false, 'pg_insert');
    check(pg_update($c, 'pg_items', ['name' => 'b'], ['id' => 1]), 'pg_update');
    check(pg_select($c, 'pg_items', ['id' => 1])[0]['name'] == 'b', 'pg_select');
    check(array_keys(pg_meta_data($c, 'pg_items')) == ['id', 'name', 'embedding'], 'pg_meta_data');
    check(pg_field_table(pg_query($c, 'SELECT * FROM pg_items'), 0) == 'pg_items', 'pg_field_table');
    check(pg_field_type(pg_query($c, 'SELECT * FROM pg_items'), 2) == 'vector', 'pg_field_type');
});
tour('doctrine', function () use ($host, $port, $db) {
    $c = DriverManager::getConnection(['driver' => 'pdo_pgsql', 'host' => $host, 'port' => $port, 'dbname' => $db, 'user' => 'postgres']);
    $c->getDatabasePlatform()->registerDoctrineTypeMapping('vector', 'string');
    $c->executeStatement('DROP TABLE IF EXISTS doc_items, doc_makers');
    $schema = new Schema();
    $m = $schema->createTable('doc_makers'); $m->addColumn('id', 'integer', ['autoincrement' => true]); $m->addColumn('name', 'string', ['length' => 40, 'default' => 'x']); $m->setPrimaryKey(['id']); $m->addUniqueIndex(['name'], 'doc_makers_name');
    $t = $schema->createTable('doc_items'); $t->addColumn('id', 'bigint', ['autoincrement' => true]); $t->addColumn('maker_id', 'integer'); $t->addColumn('price', 'decimal', ['precision' => 10, 'scale' => 2, 'notnull' => false]);
    $t->addColumn('about', 'json', ['notnull' => false]); $t->addColumn('ok', 'boolean', ['default' => true]); if (!getenv('NO_TIMESTAMP0')) $t->addColumn('at', 'datetime', ['notnull' => false]); $t->addColumn('body', 'text', ['comment' => 'long']); $t->setPrimaryKey(['id']);
    $t->addForeignKeyConstraint('doc_makers', ['maker_id'], ['id'], ['onDelete' => 'CASCADE'], 'doc_items_maker'); $t->addIndex(['price'], 'doc_items_price');
    foreach ($schema->toSql($c->getDatabasePlatform()) as $sql) $c->executeStatement($sql);
    $sm = $c->createSchemaManager();
    $diff = $sm->createComparator()->compareTables($sm->introspectTable('doc_items'), $t);
    check($diff === false || $diff->isEmpty(), 'nothing to change in doc_items: ' . json_encode($diff ? array_map(fn($d) => [$d->getOldColumn()->toArray(), $d->getNewColumn()->toArray()], $diff->getModifiedColumns()) : []));
    $diff = $sm->createComparator()->compareTables($sm->introspectTable('doc_makers'), $m);
    check($diff === false || $diff->isEmpty(), 'nothing to change in doc_makers ' . json_encode(array_map(fn($d) => [$d->getOldColumn()->toArray(), $d->getNewColumn()->toArray()], $diff->getModifiedColumns())));
    check(count($sm->listTableForeignKeys('doc_items')) == 1 && count($sm->listTableIndexes('doc_items')) >= 2, 'keys');
    $c->insert('doc_makers', ['name' => 'one']); check($c->lastInsertId() == 1, 'lastInsertId');
    $c->insert('doc_items', ['maker_id' => 1, 'price' => '1.50', 'body' => 'b']);
    $sm->listSequences(); $sm->listViews(); $sm->listSchemaNames(); $sm->listDatabases();
    try { $c->insert('doc_makers', ['name' => 'one']); check(false, 'unique'); } catch (Doctrine\DBAL\Exception\UniqueConstraintViolationException $e) {}
    $c->executeStatement('DROP TABLE doc_items, doc_makers');
});
tour('laravel', function () use ($host, $port, $db) {
    $capsule = new Capsule(); $capsule->addConnection(['driver' => 'pgsql', 'host' => $host, 'port' => $port, 'database' => $db, 'username' => 'postgres', 'password' => '', 'charset' => 'utf8', 'schema' => 'public']);
    $capsule->setAsGlobal(); $capsule->bootEloquent(); $s = Capsule::schema();
    $s->dropIfExists('la_items'); $s->dropIfExists('la_makers');
    $s->create('la_makers', function ($t) { $t->id(); $t->string('name', 40)->default('x')->unique(); if (!getenv('NO_TIMESTAMP0')) $t->timestamps(); });
    $s->create('la_items', function ($t) { $t->id(); $t->foreignId('maker_id')->constrained('la_makers')->cascadeOnDelete(); $t->decimal('price', 10, 2)->nullable(); $t->jsonb('about')->nullable(); $t->boolean('ok')->default(true); $t->uuid('code')->nullable(); $t->enum('kind', ['a', 'b'])->default('a'); $t->index('price'); });
    Capsule::statement('ALTER TABLE la_items ADD embedding vector(3)');
    check($s->hasTable('la_items') && $s->hasColumn('la_items', 'price') && $s->getColumnListing('la_makers')[0] == 'id', 'introspection');
    $id = Capsule::table('la_makers')->insertGetId(['name' => 'one']);
    Capsule::table('la_items')->insert(array_map(fn($i) => ['maker_id' => $id, 'price' => $i, 'about' => json_encode(['n' => $i]), 'embedding' => "[$i,0,0]"], range(0, 29)));
    check(Capsule::table('la_items')->where('price', '<', 20)->where('about->n', '!=', '3')->orderByRaw('embedding <-> ?', ['[9.9,0,0]'])->limit(2)->pluck('id')->all() == [11, 10], 'near');
    Capsule::table('la_makers')->upsert([['name' => 'one'], ['name' => 'two']], ['name']);
    check(Capsule::table('la_items')->whereJsonContains('about', ['n' => 3])->count() == 1, 'json');
    check(Capsule::table('la_items')->paginate(7, ['*'], 'page', 1)->total() == 30, 'paginate');
    try { Capsule::connection()->transaction(function () { Capsule::table('la_makers')->insert(['name' => 'lost']); Capsule::table('la_makers')->insert(['name' => 'one']); }); check(false, 'unique'); } catch (Illuminate\Database\QueryException $e) { check($e->getCode() == '23505', 'code'); }
    check(Capsule::table('la_makers')->count() == 2, 'rollback');
    $s->table('la_items', function ($t) { $t->string('more')->nullable(); $t->renameColumn('ok', 'fine'); $t->dropIndex(['price']); });
    check(Capsule::table('la_items')->lockForUpdate()->where('fine', true)->chunkById(9, fn() => true), 'chunk');
    $s->drop('la_items'); $s->drop('la_makers');
    if (!getenv('NO_TIMESTAMP0')) { $r = new Illuminate\Database\Migrations\DatabaseMigrationRepository($capsule->getDatabaseManager(), 'la_migrations'); if (!$r->repositoryExists()) $r->createRepository(); $r->log('a', 1); check(count($r->getRan()) > 0, 'migrations'); $s->drop('la_migrations'); }
});
echo "$passed passed, $failed failed\n";
exit($failed > 0 ? 1 : 0);
