import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.net.URI;
import java.sql.*;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.TreeMap;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.PGResultSetMetaData;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;

/**
 * pgJDBC: statements, batches, cursors, COPY, errors, and DatabaseMetaData.
 *
 * <p>One file without a framework, so that a Java runtime and the driver's jar are all it needs:
 * {@code HITHER_URL=postgres://... java -cp postgresql.jar Tour.java}
 */
public class Tour {
    static Connection connection;

    public static void main(String[] arguments) throws Exception {
        int failed = 0;
        int passed = 0;
        open();
        for (var method : Tour.class.getDeclaredMethods()) {
            if (!method.isAnnotationPresent(Test.class)) continue;
            fill();
            try {
                method.invoke(new Tour());
                passed++;
            } catch (java.lang.reflect.InvocationTargetException error) {
                System.out.println("FAILED " + method.getName());
                error.getCause().printStackTrace(System.out);
                failed++;
            }
        }
        close();
        System.out.println(passed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }

    @java.lang.annotation.Retention(java.lang.annotation.RetentionPolicy.RUNTIME)
    @interface Test {}

    /** What com.pgvector's class of this name is to the driver: a value of type vector, sent as text. */
    public static class PGvector extends PGobject {
        public PGvector() {
            type = "vector";
        }

        PGvector(float[] values) {
            this();
            value = Arrays.toString(values).replace(" ", "");
        }

        float[] toArray() {
            String[] parts = value.substring(1, value.length() - 1).split(",");
            float[] values = new float[parts.length];
            for (int i = 0; i < parts.length; i++) values[i] = Float.parseFloat(parts[i]);
            return values;
        }
    }

    static void assertTrue(boolean holds, Object... shown) {
        if (!holds) throw new AssertionError(Arrays.toString(shown));
    }

    static void assertFalse(boolean holds) {
        assertTrue(!holds);
    }

    static void assertEquals(Object expected, Object found) {
        assertTrue(Objects.equals(expected, found), "expected", expected, "found", found);
    }

    static void assertArrayEquals(Object expected, Object found) {
        assertTrue(Objects.deepEquals(expected, found), expected, found);
    }

    interface Action {
        void run() throws Exception;
    }

    static <E extends Exception> E assertThrows(Class<E> kind, Action action) {
        try {
            action.run();
        } catch (Exception error) {
            if (kind.isInstance(error)) return kind.cast(error);
            throw new AssertionError(error);
        }
        throw new AssertionError("nothing was thrown");
    }

    static Connection connect(String more) throws SQLException {
        URI uri = URI.create(System.getenv("HITHER_URL"));
        return DriverManager.getConnection(
            "jdbc:postgresql://" + uri.getHost() + ":" + uri.getPort() + uri.getPath() + "?user=" + uri.getUserInfo() + more);
    }

    static void run(String... statements) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String sql : statements) statement.execute(sql);
        }
    }

    static void open() throws SQLException {
        connection = connect("");
        run("CREATE EXTENSION IF NOT EXISTS vector", "DROP TABLE IF EXISTS jdbc_items", "DROP TABLE IF EXISTS jdbc_makers",
            "CREATE TABLE jdbc_makers (id serial PRIMARY KEY, name varchar(40) NOT NULL UNIQUE)",
            "CREATE TABLE jdbc_items (id bigserial PRIMARY KEY, maker int4 REFERENCES jdbc_makers (id) ON DELETE CASCADE, "
                + "name text NOT NULL, price numeric(10,2) DEFAULT 1.50, at timestamptz, active bool, embedding vector(3))",
            "CREATE INDEX jdbc_items_price ON jdbc_items (price)",
            "CREATE INDEX jdbc_items_embedding ON jdbc_items USING hnsw (embedding vector_l2_ops)",
            "COMMENT ON TABLE jdbc_items IS 'what is sold'", "COMMENT ON COLUMN jdbc_items.name IS 'as printed'");
        connection.unwrap(PGConnection.class).addDataType("vector", PGvector.class);
    }

    static void close() throws SQLException {
        run("DROP TABLE jdbc_items", "DROP TABLE jdbc_makers");
        connection.close();
    }

    static void fill() throws SQLException {
        run("TRUNCATE jdbc_items, jdbc_makers RESTART IDENTITY", "INSERT INTO jdbc_makers (name) VALUES ('one')");
        try (PreparedStatement insert = connection.prepareStatement(
                "INSERT INTO jdbc_items (maker, name, price, active, embedding) VALUES (1, ?, ?, ?, ?)")) {
            for (int i = 0; i < 40; i++) {
                insert.setString(1, "n" + i);
                insert.setBigDecimal(2, new BigDecimal(i + ".50"));
                insert.setBoolean(3, i % 2 == 0);
                insert.setObject(4, new PGvector(new float[] {i, 0, 0}));
                insert.addBatch();
            }
            assertEquals(40, insert.executeBatch().length);
        }
    }

    @Test
    void nearestWithAFilter() throws SQLException {
        // The fifth execution prepares by name, and then results come in binary.
        for (int round = 0; round < 8; round++) {
            try (PreparedStatement query = connection.prepareStatement(
                    "SELECT id, name, price, embedding FROM jdbc_items WHERE active AND price < ? ORDER BY embedding <-> ? LIMIT 2")) {
                query.setBigDecimal(1, new BigDecimal(20));
                query.setObject(2, new PGvector(new float[] {9.9f, 0, 0}));
                List<String> names = new ArrayList<>();
                try (ResultSet rows = query.executeQuery()) {
                    while (rows.next()) {
                        names.add(rows.getString("name"));
                        assertEquals(new BigDecimal(rows.getString("name").substring(1) + ".50"), rows.getBigDecimal(3));
                        PGvector vector = (PGvector) rows.getObject(4);
                        assertEquals("n" + (int) vector.toArray()[0], rows.getString(2));
                    }
                }
                assertEquals(List.of("n10", "n8"), names);
            }
        }
    }

    @Test
    void generatedKeysUpdatesAndTypes() throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_items (name) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
            insert.setString(1, "new");
            assertEquals(1, insert.executeUpdate());
            try (ResultSet keys = insert.getGeneratedKeys()) {
                assertTrue(keys.next());
                assertEquals(41L, keys.getLong("id"));
                assertEquals(new BigDecimal("1.50"), keys.getBigDecimal("price"));
            }
        }
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_items (name) VALUES ('x')", new String[] {"id"})) {
            insert.executeUpdate();
            try (ResultSet keys = insert.getGeneratedKeys()) {
                assertTrue(keys.next());
                assertEquals(42L, keys.getLong(1));
            }
        }
        OffsetDateTime at = OffsetDateTime.of(2024, 2, 29, 1, 2, 3, 0, ZoneOffset.UTC);
        for (int round = 0; round < 8; round++) {
            try (PreparedStatement query = connection.prepareStatement(
                    "SELECT ?::int4, ?::int8, ?::float8, ?::text, ?::date, ?::timestamptz, ?::uuid, ?::bool, ?::int4[], ?::bytea, ?::jsonb, ?::int2")) {
                query.setInt(1, 7);
                query.setLong(2, 1L << 40);
                query.setDouble(3, 1.5);
                query.setString(4, "täxt");
                query.setObject(5, LocalDate.of(2024, 2, 29));
                query.setObject(6, at);
                query.setObject(7, new UUID(1, 2));
                query.setBoolean(8, true);
                query.setArray(9, connection.createArrayOf("int4", new Integer[] {1, null, 3}));
                query.setBytes(10, new byte[] {0, -1});
                query.setObject(11, "{\"a\": 1}", Types.OTHER);
                query.setNull(12, Types.SMALLINT);
                try (ResultSet row = query.executeQuery()) {
                    assertTrue(row.next());
                    assertEquals(7, row.getInt(1));
                    assertEquals(1L << 40, row.getLong(2));
                    assertEquals(1.5, row.getDouble(3));
                    assertEquals("täxt", row.getString(4));
                    assertEquals(LocalDate.of(2024, 2, 29), row.getObject(5, LocalDate.class));
                    assertEquals(at, row.getObject(6, OffsetDateTime.class));
                    assertEquals(new UUID(1, 2), row.getObject(7));
                    assertTrue(row.getBoolean(8));
                    assertArrayEquals(new Integer[] {1, null, 3}, (Integer[]) row.getArray(9).getArray());
                    assertArrayEquals(new byte[] {0, -1}, row.getBytes(10));
                    assertEquals("{\"a\": 1}", row.getString(11));
                    row.getShort(12);
                    assertTrue(row.wasNull());
                    ResultSetMetaData meta = row.getMetaData();
                    assertEquals("timestamptz", meta.getColumnTypeName(6));
                    assertEquals(Types.ARRAY, meta.getColumnType(9));
                }
            }
        }
        try (Statement statement = connection.createStatement()) {
            assertEquals(2, statement.executeUpdate("DELETE FROM jdbc_items WHERE name IN ('new', 'x')"));
        }
    }

    @Test
    void transactionsCursorsAndSavepoints() throws SQLException {
        connection.setAutoCommit(false);
        try (PreparedStatement query = connection.prepareStatement("SELECT id FROM jdbc_items ORDER BY id")) {
            query.setFetchSize(7);
            int count = 0;
            try (ResultSet rows = query.executeQuery()) {
                while (rows.next()) assertEquals((long) ++count, rows.getLong(1));
            }
            assertEquals(40, count);
            run("DELETE FROM jdbc_items WHERE id = 1");
            Savepoint here = connection.setSavepoint("here");
            run("DELETE FROM jdbc_items");
            connection.rollback(here);
            connection.commit();
        } finally {
            connection.rollback();
            connection.setAutoCommit(true);
        }
        try (Statement statement = connection.createStatement(); ResultSet row = statement.executeQuery("SELECT count(*) FROM jdbc_items")) {
            row.next();
            assertEquals(39, row.getInt(1));
        }
        connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
        assertEquals(Connection.TRANSACTION_REPEATABLE_READ, connection.getTransactionIsolation());
        connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        assertTrue(connection.isValid(5));
    }

    @Test
    void errors() {
        PSQLException error = assertThrows(PSQLException.class, () -> run("INSERT INTO jdbc_makers (id, name) VALUES (1, 'x')"));
        assertEquals("23505", error.getSQLState());
        assertEquals("jdbc_makers_pkey", error.getServerErrorMessage().getConstraint());
        assertEquals("42P01", assertThrows(SQLException.class, () -> run("SELECT * FROM nowhere")).getSQLState());
        assertEquals("23503", assertThrows(SQLException.class, () -> run("UPDATE jdbc_items SET maker = 9")).getSQLState());
        assertEquals("22000", assertThrows(SQLException.class, () -> run("UPDATE jdbc_items SET embedding = '[1,2]'")).getSQLState());
        BatchUpdateException batch = assertThrows(BatchUpdateException.class, () -> {
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_makers (name) VALUES (?)")) {
                for (String name : new String[] {"a", "b", "one"}) {
                    insert.setString(1, name);
                    insert.addBatch();
                }
                insert.executeBatch();
            }
        });
        assertEquals("23505", batch.getSQLState());
    }

    @Test
    void copy() throws Exception {
        var copies = connection.unwrap(PGConnection.class).getCopyAPI();
        assertEquals(2L, copies.copyIn("COPY jdbc_items (name, embedding) FROM STDIN", new StringReader("a\t[1,2,3]\nb\t\\N\n")));
        StringWriter out = new StringWriter();
        assertEquals(2L, copies.copyOut("COPY (SELECT name, embedding FROM jdbc_items WHERE id > 40 ORDER BY id) TO STDOUT WITH CSV", out));
        assertEquals("a,\"[1,2,3]\"\nb,\n", out.toString());
    }

    @Test
    void rewrittenBatchesAndUpdatableResults() throws SQLException {
        try (Connection other = connect("&reWriteBatchedInserts=true")) {
            try (PreparedStatement insert = other.prepareStatement("INSERT INTO jdbc_makers (name) VALUES (?)")) {
                for (int i = 0; i < 100; i++) {
                    insert.setString(1, "batch" + i);
                    insert.addBatch();
                }
                assertEquals(100, insert.executeBatch().length);
            }
            try (Statement statement = other.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
                 ResultSet rows = statement.executeQuery("SELECT id, name FROM jdbc_makers ORDER BY id")) {
                assertTrue(rows.next());
                rows.updateString("name", "uno");
                rows.updateRow();
                assertTrue(rows.last());
                rows.deleteRow();
            }
        }
        try (Statement statement = connection.createStatement();
             ResultSet row = statement.executeQuery("SELECT count(*), min(name) FILTER (WHERE id = 1) FROM jdbc_makers")) {
            row.next();
            assertEquals(100, row.getInt(1));
            assertEquals("uno", row.getString(2));
        }
    }

    /** Each row as one line of the given columns. */
    static List<String> read(ResultSet rows, String... columns) throws SQLException {
        List<String> lines = new ArrayList<>();
        try (rows) {
            while (rows.next()) {
                List<String> cells = new ArrayList<>();
                for (String column : columns) cells.add(String.valueOf(rows.getString(column)));
                lines.add(String.join(" ", cells));
            }
        }
        return lines;
    }

    @Test
    void tablesColumnsAndKeys() throws SQLException {
        DatabaseMetaData meta = connection.getMetaData();
        assertEquals(List.of("public jdbc_items TABLE what is sold", "public jdbc_makers TABLE null"),
            read(meta.getTables(null, "public", "jdbc_%", new String[] {"TABLE"}), "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS"));
        assertEquals(List.of("id -5 bigserial 19 0 nextval('jdbc_items_id_seq'::regclass) YES null", "maker 4 int4 10 1 null NO null",
                "name 12 text 2147483647 0 null NO as printed", "price 2 numeric 10 1 1.50 NO null", "at 93 timestamptz 35 1 null NO null",
                "active -7 bool 1 1 null NO null", "embedding 1111 vector 2147483647 1 null NO null"),
            read(meta.getColumns(null, "public", "jdbc_items", "%"), "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE", "NULLABLE",
                "COLUMN_DEF", "IS_AUTOINCREMENT", "REMARKS"));
        assertEquals(List.of("id 1 jdbc_items_pkey"), read(meta.getPrimaryKeys(null, "public", "jdbc_items"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME"));
        assertEquals(List.of("jdbc_makers id jdbc_items maker 1 3 0 jdbc_items_maker_fkey jdbc_makers_pkey 7"),
            read(meta.getImportedKeys(null, "public", "jdbc_items"), "PKTABLE_NAME", "PKCOLUMN_NAME", "FKTABLE_NAME", "FKCOLUMN_NAME",
                "KEY_SEQ", "UPDATE_RULE", "DELETE_RULE", "FK_NAME", "PK_NAME", "DEFERRABILITY"));
        assertEquals(List.of("jdbc_items maker"), read(meta.getExportedKeys(null, "public", "jdbc_makers"), "FKTABLE_NAME", "FKCOLUMN_NAME"));
        assertEquals(List.of("jdbc_items maker"), read(meta.getCrossReference(null, "public", "jdbc_makers", null, "public", "jdbc_items"),
            "FKTABLE_NAME", "FKCOLUMN_NAME"));
        assertEquals(List.of("f jdbc_items_pkey id 1 A", "t jdbc_items_embedding embedding 1 null", "t jdbc_items_price price 1 A"),
            read(meta.getIndexInfo(null, "public", "jdbc_items", false, true), "NON_UNIQUE", "INDEX_NAME", "COLUMN_NAME", "ORDINAL_POSITION", "ASC_OR_DESC"));
    }

    @Test
    void theRestOfTheMetaData() throws SQLException {
        DatabaseMetaData meta = connection.getMetaData();
        assertTrue(meta.getDatabaseMajorVersion() >= 16);
        assertTrue(read(meta.getSchemas(), "TABLE_SCHEM").containsAll(List.of("information_schema", "pg_catalog", "public")));
        assertTrue(read(meta.getCatalogs(), "TABLE_CAT").contains(connection.getCatalog()));
        assertTrue(read(meta.getTableTypes(), "TABLE_TYPE").containsAll(List.of("TABLE", "VIEW", "INDEX", "SEQUENCE")));
        List<String> types = read(meta.getTypeInfo(), "TYPE_NAME", "DATA_TYPE");
        assertTrue(types.containsAll(List.of("int4 4", "int8 -5", "text 12", "bool -7", "numeric 2", "vector 1111", "_int4 2003", "jsonb 1111", "uuid 1111")), types.toString());
        TreeMap<String, String> best = new TreeMap<>();
        for (String line : read(meta.getBestRowIdentifier(null, "public", "jdbc_items", DatabaseMetaData.bestRowSession, true), "COLUMN_NAME", "TYPE_NAME"))
            best.put(line, line);
        assertEquals(1, best.size());
        assertTrue(read(meta.getFunctions(null, null, "l2_distance"), "FUNCTION_NAME").contains("l2_distance"));
        assertTrue(read(meta.getProcedures(null, null, "nothing%"), "PROCEDURE_NAME").isEmpty());
        assertTrue(read(meta.getUDTs(null, null, "nothing%", null), "TYPE_NAME").isEmpty());
        assertTrue(read(meta.getTablePrivileges(null, "public", "jdbc_items"), "GRANTEE", "PRIVILEGE").contains("postgres SELECT"));
        assertTrue(read(meta.getColumnPrivileges(null, "public", "jdbc_items", "id"), "GRANTEE", "PRIVILEGE").contains("postgres SELECT"));
        assertEquals(63, meta.getMaxColumnNameLength());
        assertTrue(meta.getSQLKeywords().contains("ilike"));
        assertFalse(read(meta.getClientInfoProperties(), "NAME").isEmpty());
    }

    /** Strings with a cast in the statement, as everybody sends what the driver has no type for. */
    @Test
    void stringsWithCasts() throws SQLException {
        run("DROP TABLE IF EXISTS jdbc_casts",
            "CREATE TABLE jdbc_casts (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, j jsonb, v vector(3), u uuid, i interval, d date, tags text[])");
        for (int round = 0; round < 7; round++) {
            try (PreparedStatement insert = connection.prepareStatement(
                    "INSERT INTO jdbc_casts (j, v, u, i, d, tags) VALUES (?::jsonb, ?::vector, CAST(? AS uuid), ?::interval, ?::date, ?::text[]) RETURNING *")) {
                String[] values = {"{\"a\": 1}", "[1,2,3]", "00000000-0000-0001-0000-000000000002", "1 day", "2024-02-29", "{a,b}"};
                for (int i = 0; i < values.length; i++) insert.setString(i + 1, values[i]);
                try (ResultSet row = insert.executeQuery()) {
                    assertTrue(row.next());
                    assertEquals("[1,2,3]", row.getString("v"));
                    assertEquals(new UUID(1, 2), row.getObject("u"));
                    assertEquals(LocalDate.of(2024, 2, 29), row.getObject("d", LocalDate.class));
                    assertArrayEquals(new String[] {"a", "b"}, row.getArray("tags").getArray());
                    assertEquals("jdbc_casts", ((PGResultSetMetaData) row.getMetaData()).getBaseTableName(2));
                    assertTrue(row.getMetaData().isAutoIncrement(1));
                }
            }
            try (PreparedStatement update = connection.prepareStatement("UPDATE jdbc_casts SET v = ?::vector, j = ?::jsonb WHERE id = ?")) {
                update.setString(1, "[3,2,1]");
                update.setString(2, "[]");
                update.setLong(3, 1);
                assertEquals(1, update.executeUpdate());
            }
        }
        run("DROP TABLE jdbc_casts");
    }

    @Test
    void batchesWithKeysAndParametersDescribed() throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_makers (name) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
            for (int i = 0; i < 5; i++) {
                insert.setString(1, "k" + i);
                insert.addBatch();
            }
            assertEquals(5, insert.executeBatch().length);
            assertEquals(List.of("2", "3", "4", "5", "6"), read(insert.getGeneratedKeys(), "id"));
        }
        try (PreparedStatement query = connection.prepareStatement("SELECT * FROM jdbc_items WHERE id = ? AND name = ? AND at > ?")) {
            ParameterMetaData parameters = query.getParameterMetaData();
            assertEquals(List.of("int8", "text", "timestamptz"),
                List.of(parameters.getParameterTypeName(1), parameters.getParameterTypeName(2), parameters.getParameterTypeName(3)));
            assertEquals(7, query.getMetaData().getColumnCount());
        }
    }

    @Test
    void timeoutsNotificationsAndCalls() throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            assertEquals("57014", assertThrows(SQLException.class, () -> statement.execute("SELECT pg_sleep(10)")).getSQLState());
        }
        run("LISTEN jdbc", "NOTIFY jdbc, 'hello'");
        assertEquals("hello", connection.unwrap(PGConnection.class).getNotifications(1000)[0].getParameter());
        try (CallableStatement call = connection.prepareCall("{? = call lower(?)}")) {
            call.registerOutParameter(1, Types.VARCHAR);
            call.setString(2, "ABC");
            call.execute();
            assertEquals("abc", call.getString(1));
        }
    }

    @Test
    void modesAndOptions() throws SQLException {
        for (String mode : List.of("simple", "extended", "extendedForPrepared", "extendedCacheEverything")) {
            try (Connection other = connect("&preferQueryMode=" + mode + "&prepareThreshold=1")) {
                for (int round = 0; round < 3; round++) {
                    try (PreparedStatement query = other.prepareStatement("SELECT count(*), ? + 1 FROM jdbc_items WHERE name <> ?")) {
                        query.setInt(1, 4);
                        query.setString(2, "it's");
                        try (ResultSet row = query.executeQuery()) {
                            row.next();
                            assertEquals(40, row.getInt(1));
                            assertEquals(5, row.getInt(2));
                        }
                    }
                }
            }
        }
        try (Connection other = connect("&currentSchema=public&ApplicationName=app&stringtype=unspecified&readOnly=true&options=-c%20statement_timeout=5000")) {
            assertEquals("public", other.getSchema());
            other.setReadOnly(false);
            try (PreparedStatement update = other.prepareStatement("UPDATE jdbc_items SET embedding = ? WHERE id = 1")) {
                update.setString(1, "[1,2,3]");
                assertEquals(1, update.executeUpdate());
            }
        }
    }
}
