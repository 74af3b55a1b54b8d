// pgx 4 (Debian's golang-github-jackc-pgx-v4-dev), and database/sql over it. HITHER_URL names the server.
package tour

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
	_ "github.com/jackc/pgx/v4/stdlib"
)

var url = os.Getenv("HITHER_URL")
var ctx = context.Background()

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func prepare(t *testing.T) *pgx.Conn {
	conn, err := pgx.Connect(ctx, url)
	must(t, err)
	for _, statement := range []string{"CREATE EXTENSION IF NOT EXISTS vector", "DROP TABLE IF EXISTS go_items",
		"CREATE TABLE go_items (id bigserial PRIMARY KEY, name text UNIQUE, price float8, tags text[], at timestamptz, about jsonb, embedding vector(3))"} {
		_, err := conn.Exec(ctx, statement)
		must(t, err)
	}
	return conn
}

func TestPgx(t *testing.T) {
	conn := prepare(t)
	defer conn.Close(ctx)
	var id int64
	now := time.Now().UTC().Truncate(time.Microsecond)
	must(t, conn.QueryRow(ctx, "INSERT INTO go_items (name, price, tags, at, about, embedding) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
		"a", 1.5, []string{"x", "y z"}, now, map[string]int{"n": 1}, "[1,2,3]").Scan(&id))
	batch := &pgx.Batch{}
	for i := 0; i < 40; i++ {
		batch.Queue("INSERT INTO go_items (name, price, embedding) VALUES ($1, $2, $3)", fmt.Sprintf("n%d", i), float64(i), fmt.Sprintf("[%d,0,0]", i))
	}
	must(t, conn.SendBatch(ctx, batch).Close())
	count, err := conn.CopyFrom(ctx, pgx.Identifier{"go_items"}, []string{"name", "price", "tags", "at"},
		pgx.CopyFromSlice(100, func(i int) ([]interface{}, error) { return []interface{}{fmt.Sprintf("c%d", i), 100 + float64(i), []string{"c"}, now}, nil }))
	must(t, err)
	if count != 100 {
		t.Fatal(count)
	}
	rows, err := conn.Query(ctx, "SELECT name, embedding::text FROM go_items WHERE price < $1 ORDER BY embedding <-> $2 LIMIT 2", 20.0, "[9.9,0,0]")
	must(t, err)
	var names []string
	for rows.Next() {
		var name, embedding string
		must(t, rows.Scan(&name, &embedding))
		names = append(names, name+embedding)
	}
	must(t, rows.Err())
	if fmt.Sprint(names) != "[n10[10,0,0] n9[9,0,0]]" {
		t.Fatal(names)
	}
	var tags []string
	var at time.Time
	var about map[string]int
	must(t, conn.QueryRow(ctx, "SELECT tags, at, about FROM go_items WHERE id = ANY($1)", []int64{id}).Scan(&tags, &at, &about))
	if fmt.Sprint(tags, at.UTC().Equal(now), about) != "[x y z] true map[n:1]" {
		t.Fatal(tags, at, about)
	}
	_, err = conn.Exec(ctx, "INSERT INTO go_items (name) VALUES ('a')")
	var pgError *pgconn.PgError
	if !errors.As(err, &pgError) || pgError.Code != "23505" || pgError.ConstraintName != "go_items_name_key" || pgError.TableName != "go_items" {
		t.Fatalf("%#v", pgError)
	}
	must(t, conn.BeginFunc(ctx, func(tx pgx.Tx) error {
		inner, err := tx.Begin(ctx)
		must(t, err)
		_, err = inner.Exec(ctx, "DELETE FROM go_items")
		must(t, err)
		must(t, inner.Rollback(ctx))
		_, err = tx.Exec(ctx, "UPDATE go_items SET price = 0 WHERE name = $1", "a")
		return err
	}))
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	must(t, err)
	var n int
	must(t, tx.QueryRow(ctx, "SELECT count(*) FROM go_items").Scan(&n))
	if n != 141 {
		t.Fatal(n)
	}
	if _, err := tx.Exec(ctx, "DELETE FROM go_items"); !errors.As(err, &pgError) || pgError.Code != "25006" {
		t.Fatal(err)
	}
	must(t, tx.Rollback(ctx))
	timeout, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if _, err := conn.Exec(timeout, "SELECT pg_sleep(5)"); err == nil {
		t.Fatal("no timeout")
	}
}

func TestPoolAndSimpleProtocol(t *testing.T) {
	prepare(t).Close(ctx)
	config, err := pgxpool.ParseConfig(url)
	must(t, err)
	config.ConnConfig.PreferSimpleProtocol = true
	pool, err := pgxpool.ConnectConfig(ctx, config)
	must(t, err)
	defer pool.Close()
	must(t, pool.Ping(ctx))
	_, err = pool.Exec(ctx, "INSERT INTO go_items (name, price, embedding, tags, at) VALUES ($1, $2, $3, $4, $5)", "it's", 1.5, "[1,2,3]", []string{"q"}, time.Now())
	must(t, err)
	var name string
	must(t, pool.QueryRow(ctx, "SELECT name FROM go_items WHERE price > $1 ORDER BY embedding <-> $2 LIMIT $3", 1, "[1,1,1]", 5).Scan(&name))
	conn, err := pool.Acquire(ctx)
	must(t, err)
	defer conn.Release()
	_, err = conn.Exec(ctx, "LISTEN go")
	must(t, err)
	_, err = conn.Exec(ctx, "NOTIFY go, 'hello'")
	must(t, err)
	note, err := conn.Conn().WaitForNotification(ctx)
	must(t, err)
	if note.Payload != "hello" {
		t.Fatal(note)
	}
}

func TestDatabaseSQL(t *testing.T) {
	prepare(t).Close(ctx)
	db, err := sql.Open("pgx", url)
	must(t, err)
	defer db.Close()
	statement, err := db.Prepare("INSERT INTO go_items (name, price, embedding) VALUES ($1, $2, $3)")
	must(t, err)
	for i := 0; i < 10; i++ {
		result, err := statement.Exec(fmt.Sprint(i), i, fmt.Sprintf("[%d,0,0]", i))
		must(t, err)
		if n, _ := result.RowsAffected(); n != 1 {
			t.Fatal(n)
		}
	}
	rows, err := db.Query("SELECT id, name, price, at, embedding FROM go_items ORDER BY embedding <-> $1 LIMIT 3", "[4,0,0]")
	must(t, err)
	types, err := rows.ColumnTypes()
	must(t, err)
	if types[0].DatabaseTypeName() != "INT8" || types[3].DatabaseTypeName() != "TIMESTAMPTZ" {
		t.Fatal(types[0].DatabaseTypeName())
	}
	rows.Close()
	tx, err := db.Begin()
	must(t, err)
	_, err = tx.Exec("DELETE FROM go_items")
	must(t, err)
	must(t, tx.Rollback())
	var n int
	must(t, db.QueryRow("SELECT count(*) FROM go_items").Scan(&n))
	if n != 10 {
		t.Fatal(n)
	}
}
