"""Random statements as trees, typed so that most of them mean something."""

import random
import re
from dataclasses import dataclass, field

COLUMNS = {
    "id": "int4", "b": "bool", "i2": "int2", "i4": "int4", "i8": "int8", "f4": "float4", "f8": "float8",
    "n": "numeric", "t": "text", "vc": "varchar", "c": "char", "by": "bytea", "d": "date", "tm": "time",
    "ts": "timestamp", "tz": "timestamptz", "iv": "interval", "u": "uuid", "j": "json", "jb": "jsonb",
    "ia": "ints", "ta": "texts", "v": "vector", "h": "halfvec", "bt": "bit", "sv": "sparsevec",
}

ROWS = """
(1, true, 1, 10, 100, 1.5, 2.5, 12.345, 'Apple pie', 'apple', 'ab', '\\x0102', '2024-02-29', '12:34:56', '2024-02-29 12:34:56', '2024-02-29 12:34:56+00', '1 day 02:03:04', '11111111-1111-1111-1111-111111111111', '{"a": 1}', '{"a": 1, "b": [1, 2], "s": "x"}', '{1,2,3}', '{a,b}', '[1,2,3]', '[1,2,3]', B'1010', '{1:1,3:2}/5'),
(2, false, 2, 20, 200, -1.5, -2.5, -12.345, 'banana', 'banana', 'cd', '\\x', '2023-12-31', '00:00:00', '2023-12-31 23:59:59.999999', '2023-12-31 23:59:59.999999+00', '-1 mon', '22222222-2222-2222-2222-222222222222', '[1, null]', '[1, "two", null, {"k": true}]', '{}', '{}', '[0,0,0]', '[0,0,0]', B'0000', '{}/5'),
(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(4, true, -32768, -2147483648, -9223372036854775808, 0, 0, 0, '', '', '', '\\xff00ff', '1999-01-01', '23:59:59.5', '1999-01-01 00:00:00', '1999-01-01 00:00:00+00', '00:00:00', '00000000-0000-0000-0000-000000000000', '"text"', '"text"', '{NULL,1}', '{NULL,"a b"}', '[-1,0.5,2]', '[-1,0.5,2]', B'1111', '{2:-1,5:0.5}/5'),
(5, false, 32767, 2147483647, 9223372036854775807, 1e10, 1e100, 999999999.999, 'a%b_c\\d', 'x y', 'wxyz', '\\x616263', '2000-02-28', '06:30:00', '2000-02-28 06:30:00', '2000-02-28 06:30:00+00', '1 year 2 mons 3 days', '33333333-3333-3333-3333-333333333333', 'null', 'null', '{3,3,3}', '{x,x,y}', '[3,3,3]', '[3,3,3]', B'0001', '{1:3}/5'),
(6, true, 3, 10, 100, 'NaN', 'Infinity', 0.001, 'Zürich — 42 ', 'Ünï', 'é', '\\x00', '2024-01-31', '18:00:00', '2024-01-31 18:00:00', '2024-01-31 18:00:00+00', '-3 days +04:05:06.7', '44444444-4444-4444-4444-444444444444', '{"a": {"b": [10, 20]}}', '{"a": {"b": [10, 20]}, "n": null}', '{10,-20,30}', '{"",null}', '[0.1,0.2,0.3]', '[0.1,0.2,0.3]', B'0110', '{4:4}/5'),
(7, false, 3, 20, 300, 0.1, 0.1, 7.5, '12345', '123', '7', '\\x31', '1970-01-01', '01:02:03', '1970-01-01 01:02:03', '1970-01-01 01:02:03+00', '36:00:00', '55555555-5555-5555-5555-555555555555', '12.50', '12.50', '{1}', '{apple}', '[1,2,3]', '[1,2,3]', B'1010', '{1:1,3:2}/5'),
(8, NULL, 0, 0, 0, '-0', '-0', -1, 'apple pie', 'apple', 'ab', '\\x0102', '2024-02-29', '12:34:56', '2024-02-29 12:34:56', '2024-02-29 12:34:56+00', '1 day 02:03:04', '11111111-1111-1111-1111-111111111111', 'true', 'true', '{1,2,3}', '{a,b}', '[5,-5,0]', '[5,-5,0]', B'0011', '{1:5,2:-5}/5')
"""

SETUP = [
    "DROP SCHEMA IF EXISTS differential CASCADE",
    "CREATE SCHEMA differential",
    "CREATE EXTENSION IF NOT EXISTS vector",
    "CREATE TABLE things (id int PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric(12,3), "
    "t text, vc varchar(10), c char(4), by bytea, d date, tm time, ts timestamp, tz timestamptz, iv interval, u uuid, "
    "j json, jb jsonb, ia int[], ta text[], v vector(3), h halfvec(3), bt bit(4), sv sparsevec(5))",
    "INSERT INTO things VALUES " + ROWS,
    "CREATE TABLE others (LIKE things)",
    "INSERT INTO others SELECT * FROM things WHERE id IN (1, 3, 4, 6, 7)",
    "UPDATE others SET id = id + 1",
    "CREATE TABLE parents (id serial PRIMARY KEY, name text NOT NULL UNIQUE, rank int DEFAULT 7 CHECK (rank > 0), note varchar(5))",
    "INSERT INTO parents (name, rank) VALUES ('one', 1), ('two', 2), ('three', 3)",
    "CREATE TABLE children (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE, "
    "price numeric(6,2) NOT NULL DEFAULT 1.50, made timestamptz DEFAULT '2024-01-01 00:00:00+00', tags text[], "
    "total numeric GENERATED ALWAYS AS (price * 2) STORED, UNIQUE (parent, price))",
    "INSERT INTO children (parent, price, tags) VALUES (1, 1.00, '{a}'), (1, 2.50, '{a,b}'), (2, 3.00, NULL), (NULL, 9.99, '{}')",
    "CREATE VIEW cheap AS SELECT id, parent, price FROM children WHERE price < 3",
]


@dataclass
class Node:
    """A template whose holes {0}, {1}.. are filled by children; `type` is what it yields."""

    template: str
    type: str
    children: list = field(default_factory=list)

    def text(self):
        return re.sub(r"\{(\d+)\}", lambda hole: self.children[int(hole[1])].text(), self.template)

    def size(self):
        return 1 + sum(child.size() for child in self.children)


def descendants(node):
    for child in node.children:
        yield child
        yield from descendants(child)


def replaced(node, old, new):
    if node is old:
        return new
    return Node(node.template, node.type, [replaced(child, old, new) for child in node.children])


def smaller(root):
    """Trees with one node replaced by a descendant of its type, by a column or by NULL; the smallest first."""
    made = []
    for node in [root, *descendants(root)]:
        if node.type == "clause" and node.template:
            made.append(replaced(root, node, Node("", "clause")))
        if not node.children:
            continue
        for below in descendants(node):
            if below.type == node.type:
                made.append(replaced(root, node, below))
        if node.type in LITERALS and node is not root:
            made.append(replaced(root, node, Node(LITERALS[node.type][0], node.type)))
        if node.type == "from" and node is not root:
            made.append(replaced(root, node, Node("things a", "from")))
    made.sort(key=Node.size)
    return [tree for tree in made if tree.size() < root.size()]


LITERALS = {
    "bool": ["true", "false", "NULL::bool"],
    "int2": ["3::int2", "(-1)::int2", "0::int2", "32767::int2"],
    "int4": ["2", "0", "-7", "1", "10", "2147483647", "NULL::int"],
    "int8": ["5::int8", "0::int8", "-9223372036854775808", "10000000000", "NULL::int8"],
    "float4": ["1.25::float4", "0::float4", "'NaN'::float4", "-3.5::float4"],
    "float8": ["2.5::float8", "0::float8", "'-Infinity'::float8", "1e-5::float8", "-0.5::float8", "'NaN'::float8"],
    "numeric": ["1.5", "0.0", "-2.25", "100::numeric", "123456.789", "NULL::numeric"],
    "text": ["'abc'::text", "''::text", "'a'::text", "'12'", "' Pad '::text", "'héllo'::text", "NULL::text", "'%a_'::text"],
    "varchar": ["'vc'::varchar", "'longer text'::varchar(6)"],
    "char": ["'ab'::char(4)", "'x'::char"],
    "bytea": ["'\\x6162'::bytea", "''::bytea", "'\\xff'::bytea"],
    "date": ["date '2024-02-29'", "date '1999-12-31'", "'infinity'::date", "date '2024-01-31'"],
    "time": ["time '12:00'", "time '23:59:59.999'", "time '00:00'"],
    "timestamp": ["timestamp '2024-02-29 12:34:56.789'", "timestamp '1999-12-31 23:59:59'", "timestamp 'infinity'"],
    "timestamptz": ["timestamptz '2024-06-15 10:00:00+02'", "timestamptz '1970-01-01 00:00:00Z'"],
    "interval": ["interval '1 day'", "interval '1 mon -2 days 03:00'", "interval '90 minutes'", "interval '-1 year'"],
    "uuid": ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid"],
    "json": ["'{\"a\": [1, 2], \"b\": null}'::json", "'[1,2]'::json", "'5'::json"],
    "jsonb": ["'{\"a\": {\"b\": 2}, \"s\": \"x\"}'::jsonb", "'[1, \"a\", null]'::jsonb", "'\"s\"'::jsonb", "'{}'::jsonb"],
    "ints": ["ARRAY[1,2]", "'{}'::int[]", "ARRAY[3,NULL,1]", "'{5,6,7}'::int[]"],
    "texts": ["ARRAY['a','b']", "'{}'::text[]", "ARRAY['x',NULL]::text[]"],
    "vector": ["'[1,0,-1]'::vector", "'[2,2,2]'::vector(3)"],
    "halfvec": ["'[1,0,-1]'::halfvec", "'[2,2,2]'::halfvec(3)"],
    "bit": ["B'1100'", "B'0101'::bit(4)"],
    "sparsevec": ["'{1:1,2:2}/5'::sparsevec"],
}

# result type, template; a hole names the type it takes, `same` the one drawn for this use.
TEMPLATES = """
bool: {same} = {same} | {same} <> {same} | {same} < {same} | {same} >= {same} | {same} BETWEEN {same} AND {same}
bool: {same} IS NULL | {same} IS NOT NULL | {same} IS DISTINCT FROM {same} | {same} IN ({same}, {same}) | {same} NOT IN ({same}, {same})
bool: {bool} AND {bool} | {bool} OR {bool} | NOT {bool} | {bool} IS TRUE | {bool} IS NOT FALSE | {bool} IS UNKNOWN | {bool} = {bool}
bool: {text} LIKE {text} | {text} ILIKE '%A%' | {text} NOT LIKE 'a%' | {text} ~ '[a-c]+' | {text} !~* '^A' | {text} SIMILAR TO '%(a|b)%' | starts_with({text}, {text})
bool: {int4} = ANY({ints}) | {int4} > ALL({ints}) | {text} = ANY({texts}) | {ints} @> {ints} | {ints} && {ints} | {texts} <@ {texts} | {ints} < {ints}
bool: {jsonb} ? 'a' | {jsonb} @> {jsonb} | {jsonb} <@ {jsonb} | {jsonb} ?| {texts} | {jsonb} ?& {texts} | {jsonb} = {jsonb} | {jsonb} < {jsonb}
bool: ({date}, {date}) OVERLAPS ({date}, {interval}) | ({int4}, {text}) < ({int4}, {text}) | ({int4}, {text}) = ({int4}, {text}) | isfinite({date}) | isfinite({interval})
bool: {bytea} LIKE {bytea} | {int4}::bool | {text} IN (SELECT s.t FROM others s) | EXISTS (SELECT 1 FROM others s WHERE s.i4 = {int4}) | {int4} NOT IN (SELECT s.i4 FROM others s WHERE s.i4 IS NOT NULL)
bool: {int4} = {float8} | {numeric} > {float8} | {int8} = {numeric} | {int2} < {int8} | {float4} = {float8} | {date} < {timestamp} | {timestamp} > {timestamptz} | {varchar} = {text} | {char} = {text} | {char} = {varchar} | {char} LIKE {text}
int4: {int4} + {int4} | {int4} - {int4} | {int4} * {int4} | {int4} / {int4} | {int4} % {int4} | - {int4} | @ {int4} | abs({int4}) | {int4} & {int4} | {int4} | {int4} # {int4} | ~ {int4} | {int4} << 3 | {int4} >> 1
int4: {int2} + {int4} | {int2}::int4 | {int8}::int4 | {float8}::int4 | {numeric}::int4 | {bool}::int4 | length({text}) | char_length({char}) | octet_length({text}) | bit_length({text}) | ascii({text}) | position({text} in {text}) | strpos({text}, {text})
int4: length({bytea}) | get_byte({bytea}, 0) | {date} - {date} | array_length({ints}, 1) | cardinality({ints}) | array_position({ints}, {int4}) | array_upper({texts}, 1) | array_lower({ints}, 1) | array_ndims({ints}) | ({ints})[1] | ({ints})[{int4}]
int4: jsonb_array_length({jsonb}) | ({jsonb} ->> 'a')::int | sign({int4})::int | mod({int4}, {int4}) | gcd({int4}, {int4}) | lcm({int4}, {int4}) | width_bucket({numeric}, 0, 10, 5) | greatest({int4}, {int4}) | least({int4}, {int4}) | coalesce({int4}, {int4}) | nullif({int4}, {int4})
int4: CASE WHEN {bool} THEN {int4} ELSE {int4} END | CASE {int4} WHEN {int4} THEN {int4} END | (SELECT max(s.i4) FROM others s) | (SELECT count(*)::int FROM others s WHERE s.i4 > {int4}) | num_nulls({int4}, {text}, {date}) | vector_dims({vector}) | {text}::int
int4: bit_count({bytea})::int | length({bit}) | regexp_count({text}, 'a') | regexp_instr({text}, '[a-z]') | div({int4}, {int4})::int | extract(year from {date})::int | min_scale({numeric}) | scale({numeric}) | array_dims({ints})::text::varchar::text::int
int2: {int2} + {int2} | {int2} * {int2} | {int2} / {int2} | - {int2} | {int4}::int2 | abs({int2}) | coalesce({int2}, {int2}) | {int2} % {int2} | {int2} & {int2} | {numeric}::int2
int8: {int8} + {int8} | {int8} - {int4} | {int8} * {int8} | {int8} / {int4} | {int8} % {int8} | {int4}::int8 | {float8}::int8 | {numeric}::int8 | abs({int8}) | {int8} # {int8} | {int8} << 2 | factorial({int4})::int8 | {int2} * {int8} | greatest({int8}, {int4})
int8: bit_count({bit}) | ({interval} * 2 > {interval})::int::int8 | (SELECT count(*) FROM others s WHERE s.b) | hashtext({text})::int8 * 0
float4: {float4} + {float4} | {float4} * {float4} | {float4} / {float4} | - {float4} | abs({float4}) | {float8}::float4 | {int4}::float4 | {numeric}::float4 | greatest({float4}, {float4})
float8: {float8} + {float8} | {float8} - {float8} | {float8} * {float8} | {float8} / {float8} | - {float8} | {float8} ^ 2 | |/ abs({float8}) | ||/ {float8} | sqrt({float8}) | exp({float8}) | ln({float8}) | log({float8}) | power({float8}, {float8})
float8: {float4} + {float8} | {int4} * {float8} | {numeric}::float8 | {int8}::float8 | round({float8}) | trunc({float8}) | ceil({float8}) | floor({float8}) | sign({float8}) | degrees({float8}) | radians({float8}) | sin({float8}) | cos({float8}) | atan2({float8}, {float8}) | cbrt({float8})
float8: {vector} <-> {vector} | {vector} <#> {vector} | {vector} <=> {vector} | {vector} <+> {vector} | l2_norm({halfvec}) | {halfvec} <-> {halfvec} | {bit} <~> {bit} | {bit} <%> {bit} | {sparsevec} <-> {sparsevec} | {sparsevec} <=> {sparsevec} | vector_norm({vector}) | inner_product({vector}, {vector})
float8: greatest({float8}, {int4}) | coalesce({float8}, {int4}) | asin({float8}) | tanh({float8}) | mod({numeric}, {numeric})::float8 | date_part('epoch', {timestamp}) | date_part('dow', {date}) | date_part('hour', {interval}) | {text}::float8
numeric: {numeric} + {numeric} | {numeric} - {numeric} | {numeric} * {numeric} | {numeric} / {numeric} | {numeric} % {numeric} | - {numeric} | abs({numeric}) | round({numeric}) | round({numeric}, 1) | round({numeric}, -1) | trunc({numeric}, 1) | ceil({numeric}) | floor({numeric}) | sign({numeric})
numeric: {int4} + {numeric} | {int8} * {numeric} | {int4}::numeric | {float8}::numeric | {int8}::numeric(20,2) | {numeric}::numeric(10,1) | {numeric}::numeric(5,2) | mod({numeric}, {numeric}) | div({numeric}, {numeric}) | greatest({numeric}, {int4}) | coalesce({numeric}, {int4}) | {text}::numeric
numeric: extract(year from {timestamp}) | extract(epoch from {interval}) | extract(doy from {date}) | extract(second from {time}) | extract(week from {date}) | extract(isodow from {timestamptz}) | extract(quarter from {date}) | extract(milliseconds from {timestamp}) | extract(century from {date}) | extract(epoch from {timestamptz}) | extract(day from {interval}) | trim_scale({numeric})
text: {text} || {text} | {text} || {int4} | {int4} || {text} | {text} || {numeric} | {bool} || {text} | {varchar} || {char} | {char} || {text} | upper({text}) | lower({text}) | initcap({text}) | trim({text}) | ltrim({text}, 'a') | btrim({text}, ' a') | rtrim({text}, {text}) | trim(both 'a' from {text})
text: substring({text} from 2 for 3) | substr({text}, {int4}) | substring({text}, {int4}, {int4}) | substring({text} from '[a-z]+') | left({text}, {int4}) | right({text}, {int4}) | lpad({text}, 8, 'xy') | rpad({text}, 3) | repeat({text}, 2) | reverse({text}) | replace({text}, 'a', {text}) | translate({text}, 'abc', 'xy')
text: split_part({text}, 'a', 1) | split_part({text}, ' ', -1) | concat({text}, {int4}, {bool}) | concat_ws(',', {text}, {numeric}, {date}) | md5({text}) | quote_literal({text}) | quote_ident({text}) | quote_nullable({text}) | format('%s-%I-%L', {text}, {text}, {text}) | chr(65) | to_hex({int4}) | overlay({text} placing 'Z' from 2)
text: regexp_replace({text}, '[aeiou]', '*', 'g') | regexp_replace({text}, '(a)(p)', '\\2\\1') | regexp_substr({text}, '[0-9]+') | array_to_string({texts}, ',') | array_to_string({ints}, ',', '*') | ({texts})[1] | {jsonb} ->> 'a' | {jsonb} #>> '{{a,b}}' | {json} ->> 0 | jsonb_typeof({jsonb}) | json_typeof({json}) | jsonb_pretty({jsonb})
text: {int4}::text | {int8}::text | {float4}::text | {float8}::text | {numeric}::text | {bool}::text | {date}::text | {time}::text | {timestamp}::text | {timestamptz}::text | {interval}::text | {uuid}::text | {jsonb}::text | {json}::text | {ints}::text | {texts}::text | {vector}::text | {bytea}::text | {char}::text | {varchar}::text | {bit}::text | {halfvec}::text | {sparsevec}::text
text: to_char({timestamp}, 'YYYY-MM-DD HH24:MI:SS.MS') | to_char({date}, 'Day, DD Mon YYYY') | to_char({numeric}, 'FM999,990.00') | to_char({int4}, '0000') | to_char({interval}, 'HH24:MI:SS') | to_char({float8}, '9.99EEEE') | to_char({timestamp}, 'FMMonth FMDD, IYYY-IW Q J') | encode({bytea}, 'hex') | encode({bytea}, 'base64') | encode({bytea}, 'escape')
text: CASE WHEN {bool} THEN {text} ELSE {text} END | coalesce({text}, {text}) | nullif({text}, {text}) | greatest({text}, {text}) | coalesce({varchar}, {text}) | pg_typeof({same})::text | (SELECT min(s.t) FROM others s) | convert_from({bytea}, 'UTF8') | {text}::varchar(2) | {text}::char(3) | {text}::name::text | string_to_array({text}, 'a')::text | {text} COLLATE "C"
text: ({interval} * 1.5)::text | justify_interval({interval})::text | age({timestamp}, {timestamp})::text | ({time} + {interval})::text | {any}::text | to_json({same})::text | to_jsonb({same})::text | row_to_json(row({same}, {same}))::text | json_build_object('k', {same})::text | jsonb_build_array({same}, {same})::text | quote_literal({same}) | format('%s', {same}) | concat({same}) | array_to_json({ints})::text
varchar: {text}::varchar(5) | {varchar}::varchar(3) | coalesce({varchar}, {varchar}) | {char}::varchar | CASE WHEN {bool} THEN {varchar} ELSE {varchar} END
char: {text}::char(4) | {varchar}::char(2) | coalesce({char}, {char})
bytea: {bytea} || {bytea} | substring({bytea} from 1 for 1) | decode('616263', 'hex') | convert_to({text}, 'UTF8') | sha256({bytea}) | set_byte({bytea}, 0, 65) | decode(encode({bytea}, 'base64'), 'base64') | trim({bytea} from {bytea}) | overlay({bytea} placing {bytea} from 1) | coalesce({bytea}, {bytea}) | reverse({text})::bytea
date: {date} + {int4} | {date} - 7 | {timestamp}::date | {timestamptz}::date | make_date(2024, {int4}, 1) | to_date('20240229', 'YYYYMMDD') | coalesce({date}, {date}) | greatest({date}, {date}) | date({timestamp}) | {text}::date | date_trunc('month', {date})::date
time: {timestamp}::time | {time} + {interval} | {time} - {interval} | make_time(1, 2, 3.5) | {interval}::time | coalesce({time}, {time}) | {timestamp}::time(0) | {text}::time
timestamp: {date} + {time} | {date} + {interval} | {timestamp} + {interval} | {timestamp} - {interval} | {date}::timestamp | {timestamptz}::timestamp | date_trunc('month', {timestamp}) | date_trunc('week', {timestamp}) | date_trunc('hour', {timestamp}) | {timestamptz} AT TIME ZONE 'UTC' | make_timestamp(2024, 1, {int4}, 0, 0, 0) | coalesce({timestamp}, {timestamp}) | {timestamp}::timestamp(0) | date_bin('15 minutes', {timestamp}, timestamp '2000-01-01') | date_trunc('quarter', {date} + interval '0') | {text}::timestamp
timestamptz: {timestamptz} + {interval} | {timestamp}::timestamptz | {date}::timestamptz | date_trunc('day', {timestamptz}) | to_timestamp({float8}) | {timestamp} AT TIME ZONE 'UTC' | greatest({timestamptz}, {timestamptz}) | date_trunc('month', {date}) | to_timestamp('2024-03-01 10:11', 'YYYY-MM-DD HH24:MI') | {timestamptz} - {interval}
interval: {timestamp} - {timestamp} | {timestamptz} - {timestamptz} | {time} - {time} | {interval} + {interval} | {interval} - {interval} | {interval} * 2 | {interval} * {float8} | {interval} / 2 | - {interval} | age({timestamp}, {timestamp}) | age({date}) * 0 | justify_hours({interval}) | justify_days({interval}) | justify_interval({interval}) | make_interval(days => {int4}) | {time}::interval | date_trunc('hour', {interval}) | coalesce({interval}, {interval}) | {int4} * interval '1 day' | {text}::interval
uuid: {uuid} | coalesce({uuid}, {uuid}) | md5({text})::uuid | {text}::uuid | greatest({uuid}, {uuid})
json: {json} -> 'a' | {json} -> 0 | {json} #> '{{a,b}}' | to_json({same}) | json_build_object('a', {int4}, 'b', {text}) | json_build_array({text}, {int4}) | row_to_json(row({int4}, {text})) | array_to_json({ints}) | {jsonb}::json | json_strip_nulls({json}) | json_object({texts}) | {text}::json | (SELECT json_agg(s.i4 ORDER BY s.id) FROM others s)
jsonb: {jsonb} -> 'a' | {jsonb} -> 0 | {jsonb} #> '{{a,b}}' | {jsonb} || {jsonb} | {jsonb} - 'a' | {jsonb} - 0 | {jsonb} #- '{{a}}' | to_jsonb({same}) | jsonb_build_object('a', {same}, 'b', {text}) | jsonb_set({jsonb}, '{{a}}', {jsonb}) | jsonb_insert({jsonb}, '{{a}}', '1') | jsonb_strip_nulls({jsonb}) | {json}::jsonb | jsonb_object({texts}) | jsonb_build_array({text}, {float8}) | {text}::jsonb | coalesce({jsonb}, {jsonb}) | {jsonb}['a'] | {jsonb} - {texts}
ints: {ints} || {ints} | {ints} || {int4} | {int4} || {ints} | array_append({ints}, {int4}) | array_prepend({int4}, {ints}) | array_remove({ints}, {int4}) | array_replace({ints}, 1, {int4}) | ARRAY[{int4}, {int4}] | ({ints})[1:2] | ({ints})[2:] | array_cat({ints}, {ints}) | ARRAY(SELECT s.i4 FROM others s ORDER BY s.id) | array_fill({int4}, ARRAY[2]) | coalesce({ints}, {ints}) | array_positions({ints}, 3) | trim_array({ints}, 1) | {texts}::int[] | {text}::int[]
texts: {texts} || {texts} | {texts} || {text} | string_to_array({text}, 'a') | regexp_split_to_array({text}, ' ') | regexp_match({text}, '([a-z])(.)') | ARRAY[{text}, {text}] | array_remove({texts}, 'a') | {ints}::text[] | string_to_array({text}, NULL) | array_cat({texts}, {texts}) | {text}::text[] | CASE WHEN {bool} THEN {texts} ELSE {texts} END
vector: {vector} + {vector} | {vector} - {vector} | {vector} * {vector} | l2_normalize({vector}) | {ints}::vector | {halfvec}::vector | subvector({vector}, 1, 2) | coalesce({vector}, {vector}) | {vector} || {vector} | {text}::vector
halfvec: {halfvec} + {halfvec} | {vector}::halfvec | l2_normalize({halfvec}) | {sparsevec}::halfvec | {halfvec} * {halfvec}
bit: {bit} & {bit} | {bit} | {bit} # {bit} | ~ {bit} | {bit} << 1 | {bit} >> 2 | {int4}::bit(4) | {bit}::bit(4) | binary_quantize({vector}) | {bit} || {bit}
sparsevec: {vector}::sparsevec | {halfvec}::sparsevec | l2_normalize({sparsevec}) | coalesce({sparsevec}, {sparsevec})
"""

AGGREGATES = """
int8: count(*) | count({same}) | count(DISTINCT {same}) | sum({int4}) | sum({int2}) | count(*) FILTER (WHERE {bool})
numeric: sum({int8}) | avg({int4}) | sum({numeric}) | avg({numeric}) | sum({int4} * 1.5) FILTER (WHERE {bool}) | avg(DISTINCT {int8})
float8: sum({float8}) | avg({float8}) | stddev({float8}) | var_pop({float8}) | corr({float8}, {float8}) | regr_slope({float8}, {float8}) | avg({float4})
int4: max({int4}) | min({int4}) | bit_and({int4}) | bit_or({int4}) | max(length({text}))
text: string_agg({text}, ',' ORDER BY {text}) | max({text}) | min({text}) | string_agg(DISTINCT {text}, ',' ORDER BY {text}) | string_agg({int4}::text, '-' ORDER BY a.id DESC) FILTER (WHERE {bool}) | max({char})::text
bool: bool_and({bool}) | bool_or({bool}) | every({bool}) | count(*) > 1
date: max({date}) | min({date})
timestamp: max({timestamp}) | min({timestamp})
interval: sum({interval}) | avg({interval}) | max({interval})
ints: array_agg({int4} ORDER BY a.id) | array_agg(DISTINCT {int4}) | array_agg({int4} ORDER BY {int4} DESC NULLS LAST) FILTER (WHERE {bool})
texts: array_agg({text} ORDER BY {text})
json: json_agg({same} ORDER BY a.id)
jsonb: jsonb_agg({same} ORDER BY a.id) | jsonb_object_agg(a.id, {same})
vector: sum({vector}) | avg({vector})
uuid: (array_agg({uuid} ORDER BY {uuid}))[1]
bytea: string_agg({bytea}, ''::bytea ORDER BY {bytea})
"""

WINDOWS = """
int8: row_number() OVER ({window}) | rank() OVER (PARTITION BY {same} ORDER BY {int4}) | dense_rank() OVER (ORDER BY {same} DESC NULLS LAST) | count(*) OVER (PARTITION BY {same}) | sum({int4}) OVER ({window}) | count({same}) OVER ({window})
int4: lag({int4}) OVER ({window}) | lead({int4}, 2, 0) OVER ({window}) | first_value({int4}) OVER ({window}) | last_value({int4}) OVER ({frame}) | nth_value({int4}, 2) OVER ({frame}) | ntile(3) OVER ({window}) | max({int4}) OVER ({frame}) | min({int4}) FILTER (WHERE {bool}) OVER ({window})
float8: percent_rank() OVER (ORDER BY {same}) | cume_dist() OVER (ORDER BY {same}) | avg({float8}) OVER ({frame})
numeric: sum({numeric}) OVER ({frame}) | avg({int4}) OVER ({frame})
text: string_agg({text}, ',') OVER ({window}) | lag({text}, 1, 'none') OVER ({window}) | max({text}) OVER ({frame})
ints: array_agg({int4}) OVER ({window})
"""


def table(text):
    made = {}
    for line in text.strip().splitlines():
        kind, templates = line.split(": ", 1)
        made.setdefault(kind, []).extend(part.strip() for part in templates.split(" | ") if part.strip())
    return made


FUNCTIONS, AGGREGATE_FUNCTIONS, WINDOW_FUNCTIONS = table(TEMPLATES), table(AGGREGATES), table(WINDOWS)
# The bar divides templates above.
FUNCTIONS["int4"].append("{int4} | {int4}")
FUNCTIONS["bit"].append("{bit} | {bit}")
TYPES = list(LITERALS)
COMPARABLE = [name for name in TYPES if name not in ("json",)]


@dataclass
class Statement:
    node: Node
    ordered: bool = False
    changes: bool = False


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.aliases = ["a"]

    def chance(self, percent):
        return self.random.randrange(100) < percent

    def pick(self, items):
        return self.random.choice(items)

    def leaf(self, kind):
        names = [name for name, its in COLUMNS.items() if its == kind]
        if names and self.chance(70):
            return Node(f"{self.pick(self.aliases)}.{self.pick(names)}", kind)
        return Node(self.pick(LITERALS[kind]), kind)

    def fill(self, template, kind, depth):
        same = self.pick(COMPARABLE)
        children = []

        def hole(found):
            name = found[1]
            if name == "window":
                child = Node(f"PARTITION BY {{0}} ORDER BY {self.pick(self.aliases)}.id", "window", [self.leaf(self.pick(COMPARABLE))])
                if self.chance(50):
                    child = Node(f"ORDER BY {', '.join(alias + '.id' for alias in self.aliases)}", "window")
            elif name == "frame":
                frame = self.pick([
                    "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", "ROWS UNBOUNDED PRECEDING", "RANGE UNBOUNDED PRECEDING",
                    "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", "GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW",
                    "ROWS BETWEEN 2 FOLLOWING AND 3 FOLLOWING", "RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING",
                ])
                order = f"{self.pick(self.aliases)}.id" if "RANGE" in frame else ", ".join(alias + ".id" for alias in self.aliases)
                child = Node(f"ORDER BY {order} {frame}", "window")
            else:
                wanted = same if name == "same" else self.pick(TYPES) if name == "any" else name
                # One in fifty is of a wrong type.
                if self.chance(2):
                    wanted = self.pick(TYPES)
                child = self.expression(wanted, depth - 1)
            children.append(child)
            return f"{{{len(children) - 1}}}"

        text = re.sub(r"(?<!\{)\{([a-z]+[0-9]?)\}(?!\})", hole, template)
        text = re.sub(r"\{\{([a-z,]+)\}\}", r"{\1}", text)
        if re.fullmatch(r"[a-z_0-9]+\(.*\)|CASE.*END", text) is None:
            text = f"({text})"
        return Node(text, kind, children)

    def expression(self, kind, depth):
        if depth <= 0 or kind not in FUNCTIONS or self.chance(15):
            return self.leaf(kind)
        return self.fill(self.pick(FUNCTIONS[kind]), kind, depth)

    def any(self, depth, types=TYPES):
        return self.expression(self.pick(types), depth)

    def aggregate(self, depth):
        kind = self.pick(list(AGGREGATE_FUNCTIONS))
        return self.fill(self.pick(AGGREGATE_FUNCTIONS[kind]), kind, depth)

    def where(self, word="WHERE"):
        return Node(f" {word} {{0}}", "clause", [self.expression("bool", 2)]) if self.chance(60) else Node("", "clause")

    def statement(self):
        makers = [(30, self.select), (12, self.grouped), (10, self.windowed), (12, self.joined), (8, self.sets),
                  (8, self.subqueries), (6, self.ctes), (6, self.distinct), (12, self.changes), (3, self.broken)]
        return self.random.choices([make for _, make in makers], [weight for weight, _ in makers])[0]()

    def select(self):
        columns = [self.any(self.pick([1, 1, 2, 3])) for _ in range(self.pick([1, 1, 1, 2, 3]))]
        holes = ", ".join(f"{{{n}}}" for n in range(len(columns)))
        if self.chance(30):
            # The order decides which rows come first; ids break ties.
            direction = self.pick(["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])
            key = self.any(1, COMPARABLE)
            limit = self.pick(["", " LIMIT 3", " LIMIT 2 OFFSET 1", " OFFSET 5", " FETCH FIRST 2 ROWS ONLY"])
            n = len(columns)
            node = Node(f"SELECT {holes} FROM things a{{{n}}} ORDER BY {{{n + 1}}}{direction}, a.id{limit}", "statement",
                        [*columns, self.where(), key])
            return Statement(node, ordered=True)
        return Statement(Node(f"SELECT {holes} FROM things a{{{len(columns)}}}", "statement", [*columns, self.where()]))

    def grouped(self):
        key, kept, having = self.any(1, COMPARABLE), self.aggregate(2), Node("", "clause")
        if self.chance(30):
            having = Node(" HAVING {0}", "clause", [self.fill(self.pick(AGGREGATE_FUNCTIONS["bool"]), "bool", 1)])
        if self.chance(30):
            return Statement(Node("SELECT {0} FROM things a{1}{2}", "statement", [kept, self.where(), having]))
        shape = self.pick(["{0}", "{0}, a.b", "ROLLUP (a.b, a.i4)", "CUBE (a.b, a.vc)", "GROUPING SETS ((a.b), (a.i4), ())"])
        first = "{0}, " if "{0}" in shape else "a.b, "
        if "{0}" not in shape:
            return Statement(Node(f"SELECT {first}{{1}} FROM things a{{2}} GROUP BY {shape}{{3}}", "statement",
                                  [key, kept, self.where(), having]))
        if key.template[:1] not in "a(":
            key = self.leaf("int4") if key.template[:1] != "a" else key
        if not key.template.startswith("a."):
            key = Node("a.i4", "int4")
        return Statement(Node(f"SELECT {first}{{1}} FROM things a{{2}} GROUP BY {shape}{{3}}", "statement",
                              [key, kept, self.where(), having]))

    def windowed(self):
        kind = self.pick(list(WINDOW_FUNCTIONS))
        window = self.fill(self.pick(WINDOW_FUNCTIONS[kind]), kind, 1)
        return Statement(Node("SELECT a.id, {0} FROM things a{1}", "statement", [window, self.where()]))

    def joined(self):
        self.aliases = ["a", "b"]
        join = self.pick(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
        on = self.pick(["a.id = b.id", "a.i4 = b.i4", "a.t = b.t AND a.id < b.id", "a.id = b.id AND {0}", "a.i2 = b.i4", "a.vc = b.t", "a.u = b.u", "a.n = b.i4"])
        source = Node(f"things a {join} others b ON {on}", "from", [self.expression("bool", 1)])
        if self.chance(20):
            source = Node(self.pick(["things a CROSS JOIN others b", "things a, others b", "things a JOIN others b USING (id)",
                                     "things a LEFT JOIN LATERAL (SELECT * FROM others o WHERE o.i4 = a.i4 ORDER BY o.id LIMIT 1) b ON true"]), "from")
        return Statement(Node("SELECT a.id, b.id, {0} FROM {1}{2}", "statement", [self.any(2), source, self.where()]))

    def sets(self):
        kinds = [self.pick(COMPARABLE) for _ in range(self.pick([1, 2]))]
        side = lambda: Node("SELECT " + ", ".join(f"{{{n}}}" for n in range(len(kinds))) + f" FROM things a{{{len(kinds)}}}", "query",
                            [*(self.expression(kind, 1) for kind in kinds), self.where()])
        word = self.pick(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL"])
        return Statement(Node(f"{{0}} {word} {{1}}", "statement", [side(), side()]))

    def subqueries(self):
        kind = self.pick(COMPARABLE)
        shape = self.pick([
            "SELECT a.id FROM things a WHERE {0} IN (SELECT {1} FROM others a)",
            "SELECT a.id FROM things a WHERE {0} NOT IN (SELECT {1} FROM others a WHERE {2})",
            "SELECT a.id FROM things a WHERE EXISTS (SELECT 1 FROM others o WHERE o.id = a.id AND {2})",
            "SELECT a.id, (SELECT count(*) FROM others o WHERE o.i4 >= a.i4) FROM things a WHERE {2}",
            "SELECT a.id, (SELECT {0} FROM others o WHERE o.id = a.id) FROM things a",
            "SELECT * FROM (SELECT a.id, {0} AS x FROM things a WHERE {2}) s WHERE s.x IS NOT NULL",
            "SELECT a.id FROM things a WHERE {0} = ANY (SELECT {1} FROM others a)",
            "SELECT a.id FROM things a WHERE {0} <= ALL (SELECT {1} FROM others a WHERE {2})",
            "SELECT a.id, ARRAY(SELECT o.id FROM others o WHERE o.id < a.id ORDER BY 1) FROM things a WHERE {2}",
            "SELECT a.id FROM things a WHERE ({0}, a.id) IN (SELECT {1}, a.id FROM others a)",
        ])
        return Statement(Node(shape, "statement", [self.expression(kind, 1), self.expression(kind, 1), self.expression("bool", 1)]))

    def ctes(self):
        shape = self.pick([
            "WITH w AS (SELECT a.id, {0} AS x FROM things a WHERE {1}) SELECT w.x, count(*) FROM w GROUP BY w.x",
            "WITH w AS MATERIALIZED (SELECT a.*, {0} AS x FROM things a) SELECT a.id, a.x FROM w a WHERE {1}",
            "WITH RECURSIVE w(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM w WHERE n < 5) SELECT w.n, {0} FROM w JOIN things a ON a.id = w.n",
            "WITH RECURSIVE w AS (SELECT a.id, 0 AS depth FROM things a WHERE {1} UNION SELECT o.id, w.depth + 1 FROM others o JOIN w ON o.id = w.id + 1 WHERE w.depth < 4) SELECT * FROM w",
            "WITH x AS (SELECT {0} AS k FROM things a), y AS (SELECT k FROM x WHERE k IS NOT NULL) SELECT count(*), count(DISTINCT k) FROM y",
        ])
        return Statement(Node(shape, "statement", [self.any(2, COMPARABLE), self.expression("bool", 1)]))

    def distinct(self):
        if self.chance(50):
            return Statement(Node("SELECT DISTINCT {0}, {1} FROM things a{2}", "statement",
                                  [self.any(1, COMPARABLE), self.any(1, COMPARABLE), self.where()]))
        name = self.pick([name for name, kind in COLUMNS.items() if kind != "json"])
        return Statement(Node(f"SELECT DISTINCT ON (a.{name}) a.{name}, a.id, {{0}} FROM things a{{1}} ORDER BY a.{name}, a.id DESC",
                              "statement", [self.any(2), self.where()]), ordered=True)

    def changes(self):
        name = self.pick([name for name in COLUMNS if name != "id"])
        kind = COLUMNS[name]
        other = self.pick(TYPES) if self.chance(25) else kind
        value = self.expression(other, 2)
        shape = self.pick([
            f"UPDATE things a SET {name} = {{0}}{{1}} RETURNING a.id, a.{name}",
            f"UPDATE things a SET {name} = {{0}} FROM others b WHERE a.id = b.id RETURNING a.id, a.{name}, b.id",
            f"INSERT INTO things (id, {name}) SELECT a.id + 100, {{0}} FROM things a{{1}} RETURNING id, {name}",
            f"INSERT INTO things (id, {name}) SELECT a.id, {{0}} FROM things a{{1}} ON CONFLICT (id) DO UPDATE SET {name} = EXCLUDED.{name} RETURNING id, {name}",
            f"INSERT INTO others (id, {name}) SELECT a.id, {{0}} FROM things a{{1}} RETURNING *",
            "DELETE FROM things a WHERE {2} RETURNING a.id, {0}",
            f"WITH gone AS (DELETE FROM things a WHERE {{2}} RETURNING a.id, a.{name}) SELECT count(*), count({name}) FROM gone",
            f"MERGE INTO things a USING others b ON a.id = b.id WHEN MATCHED AND {{2}} THEN UPDATE SET {name} = {{0}} WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (b.id)",
            "DELETE FROM things a USING others b WHERE a.id = b.id AND {2} RETURNING a.id, b.t",
        ])
        return Statement(Node(shape, "statement", [value, self.where(), self.expression("bool", 1)]), changes=True)

    def broken(self):
        shape = self.pick([
            "SELECT nothing FROM things a WHERE {0}", "SELECT {1} FROM nowhere a", "SELECT nofunction({1}) FROM things a",
            "SELECT a.id, count(*) FROM things a WHERE {0}", "SELECT {1} FROM things a WHERE count(*) > 1",
            "SELECT {1} FROM things a GROUP BY a.b", "SELECT a.id FROM things a WHERE {1}", "SELECT {1} + {2} FROM things a",
            "SELECT a.id FROM things a LIMIT {1}", "SELECT {1} UNION SELECT {2}", "SELECT CASE WHEN {1} THEN {2} ELSE {1} END FROM things a",
            "SELECT coalesce({1}, {2}) FROM things a", "SELECT {1} IN ({2}, {1}) FROM things a", "SELECT {1} FROM things a ORDER BY 5",
            "SELECT row_number() OVER () FROM things a WHERE row_number() OVER () = 1", "SELECT sum(count(*)) FROM things a",
            "SELECT upper({1}) FROM things a", "SELECT sum({1}) FROM things a", "SELECT abs({1}) FROM things a", "SELECT {1} || {2} FROM things a",
            "INSERT INTO things (id, id) VALUES (1, 2)", "INSERT INTO things VALUES (1)", "SELECT {1}::int FROM things a", "SELECT {1}::date FROM things a",
        ])
        return Statement(Node(shape, "statement", [self.expression("bool", 1), self.any(1), self.any(1)]), changes=True)
