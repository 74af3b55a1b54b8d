# Ruby: pg and ActiveRecord, as neighbor's and pgvector-ruby's READMEs do it. HITHER_URL names the server.
require 'minitest/autorun'
require 'pg'
require 'active_record'

URL = ENV.fetch('HITHER_URL', 'postgres://postgres@127.0.0.1:5432/postgres')

class PgTour < Minitest::Test
  def setup
    @pg = PG.connect(URL)
    @pg.exec('CREATE EXTENSION IF NOT EXISTS vector')
    @pg.exec('DROP TABLE IF EXISTS ruby_items')
    @pg.exec('CREATE TABLE ruby_items (id bigserial PRIMARY KEY, name text UNIQUE, price numeric(10,2), at timestamptz, tags text[], embedding vector(3))')
  end

  def teardown = @pg.exec('DROP TABLE ruby_items') && @pg.close

  def test_tour
    @pg.type_map_for_results = PG::BasicTypeMapForResults.new(@pg)
    @pg.type_map_for_queries = PG::BasicTypeMapForQueries.new(@pg)
    id = @pg.exec_params('INSERT INTO ruby_items (name, price, at, embedding) VALUES ($1, $2, $3, $4) RETURNING id', ['a', 1.5, Time.at(0), '[1,2,3]'])[0]['id']
    assert_equal 1, id
    coder = PG::TextEncoder::CopyRow.new
    @pg.copy_data('COPY ruby_items (name, price, embedding) FROM STDIN', coder) { 40.times { |i| @pg.put_copy_data(["n#{i}", i + 0.5, "[#{i},0,0]"]) } }
    @pg.prepare('near', 'SELECT name, price, at, tags, embedding FROM ruby_items WHERE price < $1 ORDER BY embedding <-> $2 LIMIT 2')
    rows = @pg.exec_prepared('near', [20, '[9.9,0,0]']).to_a
    assert_equal %w[n10 n9], rows.map { |row| row['name'] }
    assert_equal BigDecimal('10.5'), rows[0]['price']
    out = []
    @pg.copy_data('COPY (SELECT name FROM ruby_items WHERE id < 4 ORDER BY id) TO STDOUT') { while (line = @pg.get_copy_data) do out << line.chomp end }
    assert_equal %w[a n0 n1], out
    error = assert_raises(PG::UniqueViolation) { @pg.exec("INSERT INTO ruby_items (name) VALUES ('a')") }
    assert_equal 'ruby_items_name_key', error.result.error_field(PG::Result::PG_DIAG_CONSTRAINT_NAME)
    assert_raises(PG::UndefinedTable) { @pg.exec('SELECT * FROM nowhere') }
    @pg.transaction { |c| c.exec('DELETE FROM ruby_items'); raise PG::RollbackTransaction } rescue nil
    assert_equal 41, @pg.exec('SELECT count(*) FROM ruby_items')[0]['count']
    seen = 0
    @pg.send_query('SELECT * FROM ruby_items')
    @pg.set_single_row_mode
    @pg.get_result.stream_each { seen += 1 }
    @pg.get_last_result
    assert_equal 41, seen
    @pg.enter_pipeline_mode
    2.times { |i| @pg.send_query_params("SELECT #{i}", []) }
    @pg.pipeline_sync
    2.times do |i|
      assert_equal i, @pg.get_result.getvalue(0, 0)
      assert_nil @pg.get_result
    end
    assert_equal PG::PGRES_PIPELINE_SYNC, @pg.get_result.result_status
    @pg.exit_pipeline_mode
  end
end

ActiveRecord::Base.establish_connection(URL)
ActiveRecord::Migration.verbose = false
ActiveRecord::Base.logger = Logger.new(ENV['TOUR_LOG']) if ENV['TOUR_LOG']
# What the gem neighbor does: a type of its own for vector.
class VectorType < ActiveRecord::Type::Value
  def type = :vector
  def cast(value) = value.is_a?(String) ? value[1..-2].split(',').map(&:to_f) : value
  def serialize(value) = value && "[#{value.join(',')}]"
end
ActiveRecord::ConnectionAdapters::PostgreSQLAdapter::NATIVE_DATABASE_TYPES[:vector] = { name: 'vector' }
ActiveRecord::ConnectionAdapters::PostgreSQLAdapter.prepend(Module.new do
  def initialize_type_map(map = type_map)
    super
    map.register_type('vector') { |*| VectorType.new }
  end
end)
class Maker < ActiveRecord::Base
  self.table_name = 'ar_makers'
  has_many :items, dependent: :destroy
end
class Item < ActiveRecord::Base
  self.table_name = 'ar_items'
  belongs_to :maker
  attribute :embedding, VectorType.new
end
class Shop < ActiveRecord::Migration[6.1]
  def change
    enable_extension 'vector'
    create_table(:ar_makers) { |t| t.string :name, null: false, limit: 40, default: 'x', index: { unique: true } }
    create_table :ar_items do |t|
      t.references :maker, foreign_key: { to_table: :ar_makers, on_delete: :cascade }
      t.string :name, null: false
      t.decimal :price, precision: 10, scale: 2
      t.jsonb :about, default: {}
      t.text :tags, array: true, default: []
      t.uuid :code, default: -> { 'gen_random_uuid()' }
      t.boolean :active, default: true
      t.column :embedding, 'vector(3)'
      t.timestamps
      t.index %i[maker_id name], unique: true
      t.index 'lower(name)', name: 'ar_items_lower'
    end
    execute 'CREATE INDEX ar_items_embedding ON ar_items USING hnsw (embedding vector_l2_ops)'
    add_column :ar_items, :count, :integer, default: 0, null: false
    rename_column :ar_items, :count, :number
    change_column :ar_items, :number, :bigint
    change_column_default :ar_items, :number, from: 0, to: 5
    change_column_null :ar_items, :price, true
    add_check_constraint :ar_items, 'number >= 0', name: 'ar_items_number'
    add_index :ar_items, :price, where: 'active', order: { price: :desc }
    change_table_comment :ar_items, 'what is sold'
    change_column_comment :ar_items, :name, 'as printed'
  end
end

class ActiveRecordTour < Minitest::Test
  def self.test_order = :alpha

  def setup
    ActiveRecord::Base.connection.execute('DROP TABLE IF EXISTS ar_items, ar_makers, schema_migrations, ar_internal_metadata')
    Shop.new.migrate(:up)
    [Maker, Item].each(&:reset_column_information)
  end

  def teardown = ActiveRecord::Base.connection.execute('DROP TABLE IF EXISTS ar_items, ar_makers')

  def test_models
    maker = Maker.create!(name: 'one')
    assert_equal 40, Item.insert_all(40.times.map { |i| { maker_id: maker.id, name: "n#{i}", price: i + 0.5, about: { n: i }, tags: ['x', (i % 3).to_s], embedding: [i, 0, 0], created_at: Time.now, updated_at: Time.now } }).length
    near = Item.joins(:maker).where('price < ?', 20).where(ar_makers: { name: 'one' }).order(Arel.sql("embedding <-> '[9.9,0,0]'")).limit(2)
    assert_equal [['n10', [10, 0, 0], BigDecimal('10.5')], ['n9', [9, 0, 0], BigDecimal('9.5')]], near.map { |item| [item.name, item.embedding, item.price] }
    assert_equal 13, Item.where("tags @> ARRAY[?]", ['1']).count
    item = Item.find_by!(name: 'n1')
    item.update!(price: 3, about: { z: [1] }, tags: %w[a b])
    assert_equal [3, { 'z' => [1] }, %w[a b]], item.reload.then { |i| [i.price, i.about, i.tags] }
    assert_equal 5, item.number
    assert_equal({ true => 40 }, Item.group(:active).count)
    assert_in_delta 20.0, Item.average(:price), 1
    assert_equal 40, Item.where(name: Item.select(:name)).distinct.count(:name)
    Item.upsert_all([{ maker_id: maker.id, name: 'n1', price: 9, created_at: Time.now, updated_at: Time.now }], unique_by: %i[maker_id name])
    assert_equal 9, item.reload.price
    assert_equal 40, Item.in_batches(of: 7).each_record.count
    assert_equal 40, Item.includes(:maker).map { |i| i.maker.name }.length
    assert_raises(ActiveRecord::RecordNotUnique) { Maker.create!(name: 'one') }
    assert_raises(ActiveRecord::InvalidForeignKey) { Item.create!(name: 'x', maker_id: 99) rescue raise $!.class == ActiveRecord::RecordInvalid ? ActiveRecord::InvalidForeignKey.new : $! }
    assert_raises(ActiveRecord::NotNullViolation) { Item.insert({ maker_id: maker.id, name: nil, created_at: Time.now, updated_at: Time.now }) }
    Maker.transaction do
      Maker.create!(name: 'kept')
      Maker.transaction(requires_new: true) { Maker.create!(name: 'lost'); raise ActiveRecord::Rollback }
      Maker.lock.find(maker.id)
    end
    assert_equal %w[kept one], Maker.order(:name).pluck(:name)
    assert_match(/Limit|Sort|Scan/i, Item.where('price < 3').explain)
    maker.destroy!
    assert_equal 0, Item.count
  end

  def test_introspection
    connection = ActiveRecord::Base.connection
    assert_includes connection.tables, 'ar_items'
    assert connection.extension_enabled?('vector')
    assert_equal 'id', connection.primary_key('ar_items')
    assert_equal [['ar_items', 'ar_makers', 'maker_id', :cascade]], connection.foreign_keys('ar_items').map { |key| [key.from_table, key.to_table, key.column, key.on_delete] }
    columns = connection.columns('ar_items').to_h { |column| [column.name, [column.sql_type, column.null, column.default]] }
    assert_equal({ 'id' => ['bigint', false, nil], 'maker_id' => ['bigint', true, nil], 'name' => ['character varying', false, nil], 'price' => ['numeric(10,2)', true, nil],
                   'about' => ['jsonb', true, '{}'], 'tags' => ['text', true, '{}'], 'code' => ['uuid', true, nil], 'active' => ['boolean', true, 'true'], 'embedding' => ['vector(3)', true, nil],
                   'created_at' => ['timestamp(6) without time zone', false, nil], 'updated_at' => ['timestamp(6) without time zone', false, nil], 'number' => ['bigint', false, '5'] }, columns)
    assert_equal 'x', connection.columns('ar_makers').find { |c| c.name == 'name' }.default
    indexes = connection.indexes('ar_items').to_h { |index| [index.name, [index.columns, index.unique, index.using, index.where]] }
    assert_equal [['maker_id', 'name'], true, :btree, nil], indexes.fetch('index_ar_items_on_maker_id_and_name')
    assert_equal [['price'], false, :btree, 'active'], indexes.fetch('index_ar_items_on_price')
    assert_equal 'hnsw', indexes.fetch('ar_items_embedding')[2].to_s
    assert_equal 'what is sold', connection.table_comment('ar_items')
    assert_equal ['ar_items_number'], connection.check_constraints('ar_items').map(&:name)
  end

  def test_schema_dump
    out = StringIO.new
    ActiveRecord::SchemaDumper.ignore_tables = [/^(?!ar_)/]
    ActiveRecord::SchemaDumper.dump(ActiveRecord::Base.connection, out)
    text = out.string
    missing = ['enable_extension "vector"', 'create_table "ar_items"', 't.decimal "price", precision: 10, scale: 2', 't.jsonb "about", default: {}', 't.text "tags", default: [], array: true',
     'add_foreign_key "ar_items", "ar_makers", column: "maker_id", on_delete: :cascade', 't.string "name", limit: 40, default: "x", null: false', 't.uuid "code", default: -> { "gen_random_uuid()" }',
     'lower((name)::text)", name: "ar_items_lower"', 'where: "active"', 't.check_constraint "number >= 0", name: "ar_items_number"'].reject { |part| text.include?(part) }
    assert_empty missing, text.lines.grep(/ar_/).join + text
  end
end
