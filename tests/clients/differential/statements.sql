-- Statements by hand. A block is what stands between empty lines: one statement, or a transaction that is rolled back.

-- strings
SELECT length('héllo'), octet_length('héllo'), bit_length('abc'), char_length('abc '), character_length('x');

SELECT lower('ABC'), upper('abc'), initcap('hello wORLD foo-bar'), reverse('abc'), repeat('ab', 3), repeat('x', -1);

SELECT substring('hello' from 2 for 3), substring('hello' from 2), substring('hello' for 2), substring('hello', 2), substr('hello', -1, 4);

SELECT substring('foobar' from 'o(.)b'), substring('foobar' similar 'foo#"%#"r' escape '#');

SELECT substring('hello' from 2 for -1);

SELECT position('lo' in 'hello'), strpos('hello', 'zz'), position('' in 'abc');

SELECT overlay('Txxxxas' placing 'hom' from 2 for 4), overlay('abcdef' placing '45' from 4);

SELECT trim('  x '), trim(leading 'x' from 'xxay'), trim(trailing from 'a  '), trim(both 'xyz' from 'yxTomxx'), btrim('xyxtrimyyx', 'xyz'), ltrim('zzzytest', 'xyz'), rtrim('testxxzx', 'xyz');

SELECT left('abcde', 2), left('abcde', -2), right('abcde', 2), right('abcde', -2), left('abc', 0);

SELECT lpad('hi', 5, 'xy'), rpad('hi', 5, 'xy'), lpad('hello', 2), lpad('hi', 5), rpad('hi', 0), lpad('hi', 5, '');

SELECT split_part('abc~@~def~@~ghi', '~@~', 2), split_part('a,b,c', ',', -1), split_part('a,b,c', ',', 9);

SELECT split_part('a,b,c', ',', 0);

SELECT translate('12345', '143', 'ax'), replace('abcdefabcdef', 'cd', 'XX'), replace('abc', '', 'x');

SELECT concat('a', NULL, 1, true, 2.5, date '2024-01-01'), concat_ws(', ', 'a', NULL, 'b', 3), concat();

SELECT ascii('x'), ascii('é'), chr(233), chr(8364), ascii('');

SELECT chr(0);

SELECT chr(-1);

SELECT md5('abc'), sha224('abc'), sha256('abc'), sha384('abc'), sha512('abc');

SELECT quote_ident('Foo bar'), quote_ident('foo'), quote_ident('select'), quote_literal('O''Reilly'), quote_literal('a\b'), quote_literal(42.5), quote_nullable(NULL);

SELECT format('Hello %s', 'World'), format('INSERT INTO %I VALUES(%L)', 'Foo bar', 'O''Reilly'), format('%2$s %1$s %%', 'a', 'b'), format('|%10s|%-10s|', 'foo', 'bar'), format('|%*s|', 10, 'foo'), format('%s', NULL), format('%L', NULL);

SELECT format('%s');

SELECT format('%I', NULL);

SELECT format('%x', 1);

SELECT to_hex(255), to_hex(-1), to_hex(9223372036854775807);

SELECT starts_with('alphabet', 'alph'), 'alphabet' ^@ 'alp';

SELECT string_to_array('xx~~yy~~zz', '~~', 'yy'), string_to_array('abc', NULL), string_to_array('', ','), string_to_array('a,b,', ','), array_to_string(ARRAY[1,2,NULL,4], ',', '*');

SELECT string_to_table('xx~^~yy~^~zz', '~^~', 'yy');

SELECT unistr('d\0061t\+000061'), normalize(U&'\0061\0308bc', NFC), U&'d\0061t';

SELECT 'abc' || 'def', 'a' || 1, 1 || 'a', 'x' || NULL, 'abc' || 2.50, 'v: ' || true;

SELECT 'abc' LIKE 'a%', 'abc' LIKE '_b_', 'a_c' LIKE 'a\_c', 'abc' LIKE 'a#_c' ESCAPE '#', 'ABC' ILIKE 'abc', 'abc' NOT LIKE 'x%', 'abc' ~~ 'a%', 'abc' !~~* 'A%', 'abc' LIKE 'abc\';

SELECT 'abc' SIMILAR TO 'abc', 'abc' SIMILAR TO '%(b|d)%', 'abc' SIMILAR TO '(b|c)%', 'abc' NOT SIMILAR TO 'a', 'aab' SIMILAR TO 'a{2}b';

SELECT 'abc' LIKE ANY (ARRAY['x%', 'a%']), 'abc' LIKE ALL (ARRAY['%c', 'a%']), 'abc' ILIKE ANY ('{A%,B%}'), 'abc' NOT LIKE ALL (ARRAY['x%']);

SELECT E'a\tb\nc', E'\x41', E'\u00e9', $$dollar$$, $tag$dol'lar$tag$, 'a' 'b';

SELECT 'a'
'b' AS joined;

SELECT 'abc' COLLATE "C" < 'abd', 'a' COLLATE "en_US" < 'b';

SELECT parse_ident('"SomeSchema".someTable');

SELECT levenshtein('a', 'b');

SELECT 'x'::char(3) || 'y', length('x'::char(3)), 'x'::char(3) = 'x  ', octet_length('x'::char(3)), 'x '::char(3) LIKE 'x ';

SELECT 'abcdef'::varchar(3), 'abcdef'::char(3), cast('abc' as character varying), cast(true as text), 'abc'::name, 'a'::"char";

SELECT text 'abc', varchar 'abc', char(5) 'abc', bpchar 'ab';

SELECT lower(t), upper(vc), length(c) FROM things ORDER BY id;

SELECT encode('\x0123ff'::bytea, 'hex'), encode('abc'::bytea, 'base64'), encode('\x00ff41'::bytea, 'escape'), decode('YWJj', 'base64'), decode('0123ff', 'hex'), decode('a\000b', 'escape');

SELECT decode('xyz', 'hex');

SELECT decode('abc', 'hex');

SELECT decode('***', 'base64');

SELECT encode('abc', 'nothing');

SELECT get_byte('\x1234'::bytea, 0), set_byte('\x1234'::bytea, 0, 64), get_bit('\x1234'::bytea, 2), set_bit('\x1234'::bytea, 2, 1), length('\x1234'::bytea), bit_count('\xff'::bytea), substring('\x123456'::bytea from 2 for 1), '\x12'::bytea || '\x34'::bytea, position('\x34'::bytea in '\x1234'::bytea), trim('\x00'::bytea from '\x001200'::bytea), md5('abc'::bytea), overlay('\x123456'::bytea placing '\xff' from 2);

SELECT get_byte('\x1234'::bytea, 5);

SELECT convert_from('\x616263', 'UTF8'), convert_to('abc', 'UTF8'), convert('abc', 'UTF8', 'LATIN1');

SELECT '\x0102'::bytea < '\x0103', 'abc'::bytea, E'\\001'::bytea, '\xDEAD'::bytea::text;

SELECT '\xzz'::bytea;

SELECT octet_length('\x0102'::bytea), bytea '\x00' = '\x00';

-- regular expressions
SELECT 'abc' ~ 'B', 'abc' ~* 'B', 'abc' !~ '^a', 'abc' ~ '^(a|b)', 'a1' ~ '\d', 'a b' ~ '\s', 'foo' ~ '\mfoo\M', 'x' ~ '[[:alpha:]]';

SELECT regexp_replace('foobarbaz', 'b..', 'X'), regexp_replace('foobarbaz', 'b..', 'X', 'g'), regexp_replace('foobarbaz', 'b(..)', 'X\1Y', 'g'), regexp_replace('Thomas', '.[mN]a.', 'M'), regexp_replace('abc', 'B', 'x', 'i'), regexp_replace('foobar', 'o', '\\'), regexp_replace('A PostgreSQL function', 'a|e|i|o|u', 'X', 1, 0, 'i'), regexp_replace('abc', '', '-', 'g'), regexp_replace('abc', '(b)', '[\&]');

SELECT regexp_match('foobarbequebaz', '(bar)(beque)'), regexp_match('abc', 'x'), regexp_match('foobar', 'ba.'), regexp_match('abcd', '(a)(x)?');

SELECT regexp_matches('foobarbequebazilbarfbonk', '(b[^b]+)(b[^b]+)', 'g');

SELECT regexp_split_to_array('hello world  x', '\s+'), regexp_split_to_array('abc', ''), regexp_split_to_array('aXbxc', 'x', 'i');

SELECT regexp_split_to_table('the quick brown', '\s+');

SELECT regexp_count('123123123', '\d{3}'), regexp_instr('number of your street', '[^ ]+', 1, 2), regexp_like('Hello', 'hello', 'i'), regexp_substr('number of your street', '[^ ]+', 1, 2), regexp_count('aAa', 'a', 1, 'i');

SELECT 'abc' ~ '(';

SELECT regexp_replace('abc', '[', 'x');

SELECT regexp_replace('abc', 'a', 'x', 'q9');

-- numbers
SELECT 7 / 2, -7 / 2, 7 % 3, -7 % 3, 7.0 / 2, 2 ^ 10, 2.0 ^ 0.5, |/ 25, ||/ 27, @ -5, 5 & 3, 5 | 3, 5 # 3, ~5, 1 << 4, 16 >> 2, 5!=4;

SELECT 1 / 0;

SELECT 1.0 / 0;

SELECT 1::float8 / 0;

SELECT 5 % 0;

SELECT 2147483647 + 1;

SELECT 9223372036854775807 + 1;

SELECT 32767::int2 + 1::int2;

SELECT (-2147483648) / -1, abs(-2147483648);

SELECT -(-9223372036854775808);

SELECT 99999999999999999999999999, 12345678901234567890123456789012345678;

SELECT 1e400::float8;

SELECT 1e40::float4;

SELECT 40000::int2;

SELECT '40000'::int2;

SELECT 'abc'::int;

SELECT ' 42 '::int, '+5'::int, '0x1F'::int, '0b11'::int, '1_000'::int, 0x1F, 0o17, 0b101, 1_000_000;

SELECT ''::int;

SELECT '1.5'::int;

SELECT 1.5::int, 2.5::int, -2.5::int, 2.5::float8::int, 3.5::float8::int, 0.5::float4::int, 1e10::float8::int8;

SELECT 1e20::int8;

SELECT 'NaN'::float8::int;

SELECT 'NaN'::numeric, 'Infinity'::numeric, 'inf'::float8, '-inf'::float4;

SELECT round(2.5), round(3.5), round(-2.5), round(2.5::float8), round(3.5::float8), round(2.567, 2), round(1234.5, -2), round(42.4382, 2), trunc(42.8), trunc(-42.8), trunc(42.4382, 2), ceil(-42.8), ceiling(42.2), floor(-42.8), sign(-8.4), sign(0);

SELECT abs(-17.4), mod(11, 4), mod(-11.5, 4), div(9, 4), div(-9.5, 2), gcd(1071, 462), lcm(1071, 462), factorial(5), factorial(0), factorial(20), power(9, 3), power(2.0, 3), exp(1.0), ln(2.0), log(100.0), log(2.0, 64.0), log10(1000), sqrt(2), cbrt(27.0), pi(), degrees(0.5), radians(45.0);

SELECT factorial(-1);

SELECT sqrt(-1);

SELECT ln(0);

SELECT ln(-1.0);

SELECT log(0::float8);

SELECT power(0, -1);

SELECT power(-8, 1.0/3);

SELECT exp(1000::float8);

SELECT sin(1), cos(1), tan(1), cot(1), asin(1), acos(1), atan(1), atan2(1, 2), sind(30), cosd(60), tand(45), asind(0.5), acosd(0.5), atand(1), sinh(1), cosh(1), tanh(1), asinh(1), acosh(1), atanh(0.5);

SELECT asin(2);

SELECT width_bucket(5.35, 0.024, 10.06, 5), width_bucket(-1, 0, 10, 5), width_bucket(11, 0, 10, 5), width_bucket(now(), array['yesterday', 'today', 'tomorrow']::timestamptz[]);

SELECT width_bucket(5, ARRAY[1, 3, 4, 10]);

SELECT width_bucket(5.0, 0, 0, 5);

SELECT scale(8.4100), min_scale(8.4100), trim_scale(8.4100), scale(5);

SELECT greatest(1, 2.5, NULL), least('a', 'b'), greatest(NULL, NULL), coalesce(NULL, 3, 4), nullif(1, 1), nullif(1, 2), greatest(1::int8, 2::int2);

SELECT 1::float4, 0.1::float4, 0.1::float4::float8, 1e15::float8, 1e16::float8, 123456789.123::float8, 1e-5::float8, 3.0::float8, 1.0e21::float8, 'Infinity'::float8 - 1, 16777217::float4;

SELECT 0.1 + 0.2, 0.1::float8 + 0.2::float8, 1.10 + 2.2, 1.5 * 2, 10 / 4.0, 2 / 3.0, 1.0 / 3, 100000 * 1.000;

SELECT 'NaN'::float8 = 'NaN'::float8, 'NaN'::float8 > 'Infinity'::float8, 0::float8 = '-0'::float8, -0.0::float8;

SELECT 1 = 1.0, 1 < 1.5, 2::int2 = 2::int8, 1.5::float4 = 1.5, 10::numeric(4,2), 1234.567::numeric(6,2), 1234.567::numeric(10), 0.005::numeric(3,2);

SELECT 12345.678::numeric(6,2), 99999.999::numeric(6,2);

SELECT sum(x), avg(x), min(x), max(x), count(x) FROM (VALUES (1), (2), (NULL), (4)) AS v(x);

SELECT sum(x), avg(x), stddev(x), stddev_pop(x), variance(x), var_pop(x), var_samp(x), stddev_samp(x) FROM (VALUES (1.5), (2.5), (4)) AS v(x);

SELECT sum(x), avg(x) FROM (VALUES (9223372036854775807), (9223372036854775807)) v(x);

SELECT corr(y, x), covar_pop(y, x), covar_samp(y, x), regr_avgx(y, x), regr_avgy(y, x), regr_count(y, x), regr_intercept(y, x), regr_r2(y, x), regr_slope(y, x), regr_sxx(y, x), regr_sxy(y, x), regr_syy(y, x) FROM (VALUES (1::float8, 2::float8), (2, 3), (3, 5)) v(x, y);

SELECT bit_and(x), bit_or(x), bit_xor(x), bool_and(x > 1), bool_or(x > 1), every(x > 0) FROM (VALUES (1), (3), (7)) v(x);

SELECT any_value(x) FROM (VALUES (1)) v(x);

SELECT setseed(0.5);

SELECT random() BETWEEN 0 AND 1, random() <> random();

SELECT numeric_inc(1);

SELECT 5 BETWEEN 1 AND 10, 5 BETWEEN SYMMETRIC 10 AND 1, 5 NOT BETWEEN 1 AND 3;

SELECT 3 IN (1, 2, 3), 3 NOT IN (1, NULL), NULL IN (1), 1 IS DISTINCT FROM NULL, NULL IS NOT DISTINCT FROM NULL, 1 ISNULL, 1 NOTNULL;

SELECT true AND NULL, false AND NULL, true OR NULL, NOT NULL, true IS TRUE, NULL IS UNKNOWN, true > false, true::int, 1::bool, 'yes'::bool, 't'::bool, 'off'::bool, '1'::bool, 'n'::bool, true = 'true';

SELECT 'maybe'::bool;

SELECT B'101' & B'110', B'101' | B'010', ~B'101', B'1010' << 1, B'1010' >> 1, B'101' || B'11', length(B'101'), bit_length(B'101'), octet_length(B'101010101'), get_bit(B'101', 1), set_bit(B'101', 1, 1), bit_count(B'1011'), 5::bit(4), (-1)::bit(4), B'101'::int, X'1F', '101'::bit(3), B'1010'::bit(2), B'10'::varbit;

SELECT B'101' & B'1';

SELECT '102'::bit(3);

SELECT '10'::bit(3);

-- dates and times
SELECT date '2024-02-29' + 1, date '2024-03-01' - date '2024-02-01', date '2024-01-31' + interval '1 month', date '2024-01-01' + time '03:00', timestamp '2024-01-01' + interval '1 day 2 hours', time '05:00' + interval '3 hours', time '05:00' - time '03:00', timestamp '2024-03-01' - timestamp '2024-02-01 12:00', interval '1 hour' * 3.5, 900 * interval '1 second', interval '1 hour' / 1.5, - interval '23 hours';

SELECT age(timestamp '2001-04-10', timestamp '1957-06-13'), age(date '2024-03-31', date '2024-02-29'), age(timestamp '2024-01-01 00:00', timestamp '2024-01-01 10:00');

SELECT extract(century from timestamp '2000-12-16 12:21:13'), extract(day from timestamp '2001-02-16 20:38:40.12'), extract(decade from date '2001-02-16'), extract(dow from date '2001-02-16'), extract(doy from date '2001-02-16'), extract(epoch from timestamp '2001-02-16 20:38:40.12'), extract(hour from time '20:38:40'), extract(isodow from date '2001-02-18'), extract(isoyear from date '2006-01-01'), extract(julian from date '2006-01-01'), extract(microseconds from time '17:12:28.5'), extract(millennium from date '2001-02-16'), extract(milliseconds from time '17:12:28.5'), extract(minute from timestamp '2001-02-16 20:38:40'), extract(month from interval '2 years 13 months'), extract(quarter from date '2001-02-16'), extract(second from timestamp '2001-02-16 20:38:40.5'), extract(week from date '2001-02-16'), extract(year from date '2001-02-16'), extract(epoch from interval '5 days 3 hours'), extract(timezone from timestamptz '2001-02-16 20:38:40+00');

SELECT date_part('hour', timestamp '2001-02-16 20:38:40'), date_part('epoch', interval '1 day'), date_part('year', date '2024-01-01'), extract('year' from date '2024-01-01');

SELECT extract(fortnight from date '2001-02-16');

SELECT extract(hour from date '2001-02-16');

SELECT date_trunc('hour', timestamp '2001-02-16 20:38:40'), date_trunc('year', timestamp '2001-02-16 20:38:40'), date_trunc('week', date '2024-02-29'), date_trunc('quarter', timestamptz '2024-05-05 01:00+00'), date_trunc('decade', timestamp '2024-05-05'), date_trunc('century', timestamp '2024-05-05'), date_trunc('hour', interval '3 days 02:47:33'), date_trunc('milliseconds', timestamp '2024-01-01 00:00:00.123456'), date_trunc('day', timestamptz '2024-05-05 13:00+00', 'UTC'), date_trunc('MONTH', timestamp '2024-05-05');

SELECT date_trunc('nothing', timestamp '2024-05-05');

SELECT date_bin('15 minutes', timestamp '2020-02-11 15:44:17', timestamp '2001-01-01'), date_bin('2 hours', timestamptz '2020-02-11 15:44:17+00', timestamptz '2001-01-01 00:02:30+00');

SELECT make_date(2013, 7, 15), make_time(8, 15, 23.5), make_timestamp(2013, 7, 15, 8, 15, 23.5), make_timestamptz(2013, 7, 15, 8, 15, 23.5), make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'UTC'), make_interval(days => 10), make_interval(1, 2, 3, 4, 5, 6, 7.5), make_interval(hours => 2, mins => 30), make_interval(), make_date(-44, 3, 15);

SELECT make_date(2024, 13, 1);

SELECT make_time(25, 0, 0);

SELECT justify_days(interval '35 days'), justify_hours(interval '27 hours'), justify_interval(interval '1 mon -1 hour'), isfinite(date 'infinity'), isfinite(timestamp '2024-01-01'), isfinite(interval '1 day');

SELECT to_timestamp(1284352323), to_timestamp(1284352323.5), to_timestamp('05 Dec 2000', 'DD Mon YYYY'), to_date('05 Dec 2000', 'DD Mon YYYY'), to_date('2024-060', 'YYYY-DDD'), to_timestamp('2024-02-29 13:14:15.678', 'YYYY-MM-DD HH24:MI:SS.MS'), to_timestamp('12:30 PM', 'HH12:MI AM'), to_date('20240101', 'YYYYMMDD');

SELECT to_date('2024-13-01', 'YYYY-MM-DD');

SELECT to_date('abc', 'YYYY-MM-DD');

SELECT to_timestamp('99', 'HH24');

SELECT to_char(timestamp '2024-02-29 13:04:05.678', 'YYYY-MM-DD"T"HH24:MI:SS.MS US'), to_char(timestamp '2024-02-29 13:04:05', 'Day DD Month YYYY'), to_char(timestamp '2024-02-29 13:04:05', 'FMDay, FMDD FMMonth'), to_char(timestamp '2024-02-29 13:04:05', 'Dy Mon HH12:MI AM a.m. pm'), to_char(timestamp '2024-02-29 13:04:05', 'DDth D J Q WW IW ID IYYY DDD SSSS CC'), to_char(timestamp '2024-02-29 13:04:05', 'MON mon Mon MONTH month DAY day DY dy'), to_char(timestamptz '2024-02-29 13:04:05+00', 'TZ OF TZH:TZM'), to_char(interval '15h 2m 12s', 'HH24:MI:SS'), to_char(interval '3 days 25 hours', 'DD HH24:MI'), to_char(timestamp '2024-02-29 13:04:05', 'RM rm B.C. Y,YYY YY Y');

SELECT to_char(125, '999'), to_char(125.8::real, '999D9'), to_char(-125.8, '999D99S'), to_char(1234567.891, '9,999,999.99'), to_char(1234.5, 'FM9,999.00'), to_char(0.1, '0.9'), to_char(-0.1, 'FM9.99'), to_char(12, '0999'), to_char(485, 'RN'), to_char(485, 'FMRN'), to_char(12.45, '99V9'), to_char(485, 'L999'), to_char(0.0004859, '9.99EEEE'), to_char(485, '"Good number:"999'), to_char(-485, '999PR'), to_char(485, '999MI'), to_char(-485, 'SG999'), to_char(482, '999th'), to_char(1234567, '9999'), to_char(1.5, 'FM999.99'), to_char(100, 'FM999G999'), to_char(3148.5, '9G999D999'), to_char(148.5, 'FM000.00'), to_char(0, '99.99'), to_char(5, 'S9');

SELECT to_number('12,454.8-', '99G999D9S'), to_number('1,234.50', '9,999.99'), to_number('$12.5', 'L99.9'), to_number('-34,338,492', '99G999G999'), to_number('0042', '9999'), to_number('12.3', '99.9');

SELECT to_number('abc', '999');

SELECT interval '1 year 2 months 3 days 04:05:06.789', interval '1-2', interval '3 4:05:06', interval 'P1Y2M3DT4H5M6S', interval '1.5 days', interval '-1 day +02:03', interval '1 day ago', interval '2 weeks', interval '90 minutes', interval '1 decade', interval '0', interval '1 mon' = interval '30 days', interval '24 hours' = interval '1 day', interval '1' day, interval '2' hour, interval '1:30' minute to second, interval '1 2' day to hour;

SELECT interval 'nonsense';

SELECT interval '1 year' > interval '360 days', interval '1 day' < interval '25 hours', interval '1 mon' + date '2024-01-31', interval '1.5 months', interval '1 day' * 0.5, interval '1 month' / 2;

SELECT date '2024-02-30';

SELECT '2024-02-29'::date, 'Feb 29, 2024'::date, '29 February 2024'::date, '2024/02/29'::date, '02/29/2024'::date, '20240229'::date, 'infinity'::date, '-infinity'::timestamp, 'epoch'::timestamp, '2024-02-29 BC'::date;

SELECT 'today'::date = current_date, 'now'::timestamptz <= now(), 'tomorrow'::date - current_date, 'yesterday'::date - current_date, current_date = now()::date, localtimestamp::date = current_date, current_time IS NOT NULL, localtime IS NOT NULL, clock_timestamp() >= now(), statement_timestamp() >= transaction_timestamp(), timeofday() IS NOT NULL;

SELECT '13:14'::time, '01:02:03.456'::time, '1:30 PM'::time, '23:59:60'::time, '24:00:00'::time, '040506'::time, 'allballs'::time;

SELECT '25:00'::time;

SELECT '2024-01-01 12:34:56.789012'::timestamp, '2024-01-01T12:34:56Z'::timestamptz, '2024-01-01 12:34:56+05:30'::timestamptz, '2024-01-01 12:00'::timestamp::date, '2024-01-01'::timestamp, '2024-01-01 00:00:00-08'::timestamptz AT TIME ZONE 'UTC', timestamp '2024-01-01 12:00' AT TIME ZONE 'UTC', timestamp '2024-01-01 12:00' AT TIME ZONE interval '2 hours';

SELECT '2024-01-01 25:00'::timestamp;

SELECT 'garbage'::timestamp;

SELECT timestamp '2024-01-01 12:34:56.789'::timestamp(0), time '12:34:56.789'::time(1), cast('2024-01-01 12:34:56.789' as timestamp(2)), now()::timestamp(0) IS NOT NULL, current_timestamp(3) IS NOT NULL, interval '1.23456 s'::interval(2);

SELECT (date '2001-02-16', date '2001-12-21') OVERLAPS (date '2001-10-30', date '2002-10-30'), (date '2001-02-16', interval '100 days') OVERLAPS (date '2001-10-30', date '2002-10-30'), (time '01:00', time '02:00') OVERLAPS (time '01:30', time '03:00');

SELECT timestamp '2024-01-01' < date '2024-01-02', date '2024-01-01' = timestamp '2024-01-01', timestamptz '2024-01-01 00:00Z' = date '2024-01-01';

SELECT timestamp '294276-12-31' + interval '1 year';

SELECT date '5874897-12-31' + 1;

SELECT date '0001-01-01' - 1, timestamp '0001-01-01' - interval '1 year', date '10000-01-01';

SELECT min(d), max(d), count(DISTINCT d), max(ts), min(tz), max(iv), min(tm), sum(iv), avg(iv) FROM things;

SELECT '12:00:00+02'::timetz;

SELECT generate_series(1, 5), generate_series(5, 1, -2);

SELECT * FROM generate_series(1, 10, 3);

SELECT * FROM generate_series(1.0, 2.0, 0.5);

SELECT * FROM generate_series(timestamp '2024-01-01', timestamp '2024-01-02', '6 hours');

SELECT * FROM generate_series(date '2024-01-30', date '2024-03-02', interval '1 month');

SELECT * FROM generate_series('2024-01-01'::timestamptz, '2024-01-03', '1 day') AS g(day);

SELECT g, g::date FROM generate_series('2024-01-01'::date, '2024-01-03'::date, '1 day'::interval) g ORDER BY g DESC;

SELECT * FROM generate_series(1, 3, 0);

SELECT g.n * 2 AS double FROM generate_series(1, 3) AS g(n) WHERE g.n <> 2;

SELECT generate_series(1, 3) AS n, 'x' AS t ORDER BY n DESC LIMIT 2;

SELECT x, generate_series(1, x) FROM (VALUES (1), (2)) v(x);

SELECT * FROM generate_series(1::int8, 3::int8) AS s;

SELECT generate_subscripts(ARRAY[7,8,9], 1);

-- arrays
SELECT ARRAY[1,2,3], ARRAY['a','b'], ARRAY[]::int[], '{1,2}'::int[], ARRAY[1,2.5], ARRAY[NULL, 1], '{"a b",c,NULL,"NULL","q\"q"}'::text[], ARRAY[true, false], ARRAY[date '2024-01-01'], ARRAY[1.50, 2];

SELECT ARRAY[1,2] || ARRAY[3], ARRAY[1,2] || 3, 0 || ARRAY[1,2], ARRAY[1,2] = ARRAY[1,2], ARRAY[1,2] < ARRAY[1,3], ARRAY[1,4,3] @> ARRAY[3,1], ARRAY[2,7] <@ ARRAY[1,7,4,2,6], ARRAY[1,4,3] && ARRAY[2,1], NULL || ARRAY[1];

SELECT array_append(ARRAY[1,2], 3), array_prepend(0, ARRAY[1]), array_cat(ARRAY[1], ARRAY[2]), array_remove(ARRAY[1,2,1], 1), array_replace(ARRAY[1,2,1], 1, 9), array_position(ARRAY['a','b'], 'b'), array_positions(ARRAY['a','b','a'], 'a'), array_length(ARRAY[1,2,3], 1), array_length(ARRAY[]::int[], 1), cardinality(ARRAY[1,2]), array_ndims(ARRAY[1]), array_dims(ARRAY[1,2]), array_lower(ARRAY[1], 1), array_upper(ARRAY[1,2], 1), array_fill(7, ARRAY[3]), trim_array(ARRAY[1,2,3], 2), array_to_string(ARRAY['a',NULL,'c'], '-'), array_position(ARRAY[1,2,1], 1, 2);

SELECT (ARRAY[1,2,3])[2], (ARRAY[1,2,3])[5], (ARRAY[1,2,3])[1:2], (ARRAY[1,2,3])[2:], (ARRAY[1,2,3])[:2], (ARRAY[1,2,3])[0];

SELECT ARRAY[[1,2],[3,4]];

SELECT 2 = ANY(ARRAY[1,2]), 2 <> ALL(ARRAY[1,3]), 5 > ANY('{1,9}'::int[]), 'a' = ANY('{a,b}'), NULL = ANY(ARRAY[1]), 1 = ALL(ARRAY[]::int[]);

SELECT unnest(ARRAY[1,2,3]), unnest(ARRAY['a','b']);

SELECT * FROM unnest(ARRAY[1,2]) AS u(x), unnest(ARRAY['a','b']) AS w(y);

SELECT array_agg(x ORDER BY x DESC), array_agg(x) FILTER (WHERE x > 1), string_agg(x::text, ',' ORDER BY x), array_agg(DISTINCT x) FROM (VALUES (3), (1), (2), (1)) v(x);

SELECT array_agg(ta ORDER BY id) FROM things WHERE id IN (1, 8);

SELECT array_agg(DISTINCT t ORDER BY t) FROM things;

SELECT ARRAY(SELECT i4 FROM things WHERE i4 IS NOT NULL ORDER BY i4), ARRAY(SELECT t FROM things WHERE false);

SELECT '{1,2'::int[];

SELECT '{1,a}'::int[];

SELECT ARRAY[1,'a'];

SELECT array_sample(ARRAY[1], 1), array_shuffle(ARRAY[1]);

SELECT ARRAY[1,2,3]::text[], '{1,2}'::text[]::int[], ARRAY[1,2]::float8[], ARRAY['2024-01-01']::date[], ARRAY[1,2]::varchar[], string_to_array('1,2', ',')::int[];

UPDATE things SET ia[2] = 99 WHERE id = 1 RETURNING ia;
SELECT ia[1], ia[2], ia[1:2] FROM things WHERE id = 1;

-- json
SELECT '{"a": {"b": [1, 2]}}'::json -> 'a' -> 'b' -> 1, '{"a": 1}'::jsonb ->> 'a', '[1,2,3]'::json ->> -1, '{"a":{"b":"c"}}'::json #> '{a,b}', '{"a":{"b":"c"}}'::jsonb #>> '{a,b}', '{"a":1, "b":2}'::jsonb @> '{"b":2}', '{"a":1}'::jsonb ? 'a', '["a","b"]'::jsonb ?| array['b','x'], '["a","b"]'::jsonb ?& array['a','b'], '["a"]'::jsonb || '["b"]', '{"a":1}'::jsonb || '{"a":2,"c":3}', '{"a":1,"b":2}'::jsonb - 'a', '["a","b"]'::jsonb - 1, '{"a":1,"b":2,"c":3}'::jsonb - '{a,b}'::text[], '["a",{"b":1}]'::jsonb #- '{1,b}';

SELECT to_json('Fred said "Hi."'::text), to_jsonb(row(1, 'x')), array_to_json('{1,5,99}'::int[]), row_to_json(row(1, 'foo')), json_build_array(1, 2, 'foo', 4, 5), json_build_object('foo', 1, 2, row(3, 'bar')), jsonb_build_object('a', NULL, 'b', ARRAY[1,2]), json_object('{a,1,b,"def",c,3.5}'), json_object('{a,b}', '{1,2}'), jsonb_object(ARRAY['k','v']), to_jsonb(1.50), to_json(date '2024-01-01'), to_json(timestamp '2024-01-01 12:00'), to_json(timestamptz '2024-01-01 12:00Z'), to_json(interval '1 day'), to_json('NaN'::float8), to_jsonb('\x12'::bytea), to_jsonb(true), to_json(NULL::int), json_build_object();

SELECT json_array_length('[1,2,{"f1":1}]'), jsonb_array_length('[]'), json_typeof('-123.4'), jsonb_typeof('null'), json_strip_nulls('[{"f1":1,"f2":null},2,null]'), jsonb_strip_nulls('{"a":null,"b":1}'), jsonb_set('[{"f1":1,"f2":null},2]', '{0,f1}', '[2,3]', false), jsonb_set('{"a":1}', '{b}', '2'), jsonb_set('{"a":1}', '{b}', '2', false), jsonb_set_lax('{"a":1}', '{a}', NULL), jsonb_insert('{"a": [0,1,2]}', '{a, 1}', '"new"'), jsonb_insert('{"a": [0,1,2]}', '{a, 1}', '"new"', true), jsonb_pretty('[{"f1":1,"f2":null}, 2]'), json_extract_path('{"f2":{"f3":1}}', 'f2', 'f3'), jsonb_extract_path_text('{"a":{"b":"x"}}', 'a', 'b');

SELECT json_array_elements('[1,true, [2,false]]');

SELECT * FROM jsonb_array_elements('[1, "a", null]');

SELECT * FROM jsonb_array_elements_text('["foo", "bar", null]') AS e(x);

SELECT value ->> 'id' FROM jsonb_array_elements('[{"id": 1}, {"id": 2}]') AS value;

SELECT elem->>'a' FROM things, jsonb_array_elements(jb->'b') AS elem WHERE id = 1;

SELECT * FROM jsonb_each('{"a": 1, "b": "x"}');

SELECT * FROM json_each_text('{"a": 1, "b": null}');

SELECT key, value FROM things, jsonb_each(jb) WHERE id = 1;

SELECT jsonb_object_keys('{"b": 1, "a": 2}');

SELECT json_object_keys('{"b": 1, "a": 2}');

SELECT * FROM json_to_record('{"a":1,"b":"x"}') AS x(a int, b text);

SELECT * FROM jsonb_to_recordset('[{"a":1,"b":"x"},{"a":2}]') AS x(a int, b text);

SELECT * FROM json_populate_record(NULL::parents, '{"id": 5, "name": "x"}');

SELECT * FROM jsonb_populate_recordset(NULL::parents, '[{"id": 5, "name": "x"}, {"id": 6}]');

SELECT json_agg(t ORDER BY id), jsonb_agg(i4 ORDER BY id) FILTER (WHERE i4 > 0), json_object_agg(id, t ORDER BY id), jsonb_object_agg(id, b) FROM things WHERE id < 4;

SELECT json_agg(p) FROM (SELECT id, name FROM parents ORDER BY id) p;

SELECT json_agg(row_to_json(p)) FROM (SELECT id, name FROM parents ORDER BY id) p;

SELECT row_to_json(p), to_jsonb(p) FROM parents p WHERE id = 1;

SELECT jsonb_agg(to_jsonb(p) - 'note') FROM parents p;

SELECT coalesce(json_agg(json_build_object('id', c.id, 'price', c.price) ORDER BY c.id), '[]') FROM children c WHERE parent = 1;

SELECT p.id, (SELECT coalesce(jsonb_agg(c.price ORDER BY c.id), '[]'::jsonb) FROM children c WHERE c.parent = p.id) AS prices FROM parents p ORDER BY p.id;

SELECT '{"a":1'::json;

SELECT '{"a":1'::jsonb;

SELECT 'nope'::jsonb;

SELECT ('{"a": "1"}'::jsonb -> 'a')::int;

SELECT ('{"a": 1.7}'::jsonb -> 'a')::int, ('5'::jsonb)::numeric, ('true'::jsonb)::bool, ('5'::jsonb)::int8, '1.5'::jsonb::float8;

SELECT '{"b":1,"a":2, "a":3}'::jsonb, '{"b":1,  "a":2, "a":3}'::json, '1.00'::jsonb, '1e3'::jsonb, '"\u00e9\n"'::jsonb, '[ ]'::jsonb;

SELECT '{"a":1}'::json = '{"a":1}'::json;

SELECT jb FROM things WHERE jb @> '{"a": 1}';

SELECT jb->'a'->'b'->>1, jb->>'s', jb['a'], jb['b'][0] FROM things ORDER BY id;

SELECT id FROM things WHERE jb->>'a' = '1' OR (jb->'a') = '1'::jsonb;

SELECT id FROM things WHERE (jb->>'a')::int > 0;

UPDATE things SET jb = jsonb_set(jb, '{a}', to_jsonb(i4)) WHERE id = 1 RETURNING jb;
UPDATE things SET jb = jb || '{"new": true}' WHERE id = 6 RETURNING jb;
UPDATE things SET jb['z'] = '5' WHERE id = 1 RETURNING jb;

SELECT jsonb_concat('{}', '{"a":1}'), jsonb_exists('{"a":1}', 'a'), jsonb_contains('{"a":1}', '{}');

SELECT jsonb_path_query('{"a":1}', '$.a');

SELECT 1 AS a, json_scalar(1), JSON('{}');

SELECT '{"a":1}' IS JSON, 'x' IS NOT JSON, '[]' IS JSON ARRAY, '{}' IS JSON OBJECT;

SELECT JSON_OBJECT('a': 1), JSON_ARRAY(1, 2), JSON_OBJECTAGG('a': 1), JSON_ARRAYAGG(1);

-- uuid, misc functions
SELECT gen_random_uuid() IS NOT NULL, 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid, '{a0eebc999c0b4ef8bb6d6bb9bd380a11}'::uuid, uuid '11111111-1111-1111-1111-111111111111' < 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';

SELECT 'xyz'::uuid;

SELECT pg_typeof(1), pg_typeof(1.5), pg_typeof('a'), pg_typeof('a'::text), pg_typeof(NULL), pg_typeof(ARRAY[1]), pg_typeof(now()), pg_typeof(1::int2), pg_typeof(1 + 1.5), pg_typeof('a'::varchar), pg_typeof(row(1));

SELECT current_user = session_user, current_database() IS NOT NULL, current_schema(), current_schemas(true) IS NOT NULL, version() LIKE 'PostgreSQL%', pg_backend_pid() > 0, current_catalog IS NOT NULL, user IS NOT NULL, current_role IS NOT NULL, inet_server_port() IS NOT NULL, txid_current() > 0, pg_is_in_recovery(), pg_postmaster_start_time() < now(), current_query();

SELECT current_setting('server_version_num')::int > 90000, current_setting('nope.nope', true), set_config('my.var', 'x', false), current_setting('my.var'), current_setting('search_path');

SELECT current_setting('nope.nope');

SELECT num_nulls(1, NULL, 2), num_nonnulls(1, NULL), pg_column_size(1), pg_size_pretty(123456789::int8), pg_size_pretty(1024::numeric), pg_size_bytes('1 GB'), hashtext('abc'), hashint4(5), pg_sleep(0);

SELECT pg_relation_size('parents') >= 0, pg_total_relation_size('parents') >= 0, pg_database_size(current_database()) > 0, pg_table_size('parents') >= 0, pg_indexes_size('parents') >= 0;

SELECT to_regclass('parents'), to_regclass('nope'), 'parents'::regclass, 'int4'::regtype, 'parents'::regclass::oid > 0, to_regtype('int4'), format_type(23, NULL), format_type(1043, 14), 'now'::regproc, 'public'::regnamespace, 'postgres'::regrole;

SELECT 'nope'::regclass;

SELECT has_table_privilege('parents', 'select'), has_schema_privilege('public', 'usage'), pg_table_is_visible('parents'::regclass), pg_get_userbyid(10), obj_description('parents'::regclass), col_description('parents'::regclass, 1), pg_encoding_to_char(6), getdatabaseencoding(), pg_client_encoding();

SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'parents'::regclass ORDER BY 1;

SELECT pg_get_serial_sequence('parents', 'id'), pg_get_viewdef('cheap'), pg_get_indexdef('parents_pkey'::regclass);

SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid IN ('parents'::regclass, 'children'::regclass) ORDER BY 1;

SELECT nextval('parents_id_seq'), currval('parents_id_seq'), lastval(), setval('parents_id_seq', 50), nextval('parents_id_seq'), setval('parents_id_seq', 60, false), nextval('parents_id_seq');

SELECT nextval('nope');

SELECT currval('children_id_seq');

SELECT cast('1' as int), cast(1.5 as text), int4 '5', float8 '1.5', '5'::int8, date('2024-01-01'), timestamp '2024-01-01', int8(5), text(5), numeric '1.5', bool 't', "varchar"(5);

SELECT 1::nope;

SELECT CASE WHEN 1 = 1 THEN 'a' ELSE 'b' END, CASE 1 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END, CASE WHEN false THEN 1 END, CASE WHEN true THEN 1 ELSE 2.5 END, CASE WHEN 1 > 0 THEN 1 WHEN 1 / 0 > 0 THEN 2 END;

SELECT CASE WHEN true THEN 1 ELSE 'a' END;

SELECT CASE WHEN true THEN 1 ELSE now() END;

SELECT row(1, 2) = row(1, 2), (1, 2) < (1, 3), (1, NULL) = (1, NULL), row(1, NULL) IS NULL, row(NULL, NULL) IS NULL, (1, 2) IN ((1, 2), (3, 4)), row(1, 'a');

SELECT (p).name, (p).* FROM parents p WHERE id = 1;

SELECT p FROM parents p ORDER BY id LIMIT 1;

SELECT 1 AS "Mixed Case", 2 AS select, 3 "quoted""name", 4 five;

SELECT 1, 2, 'x', NULL, 1 + 1, upper('a'), true, now() IS NULL, count(*), 1::text, -1, ARRAY[1], CASE WHEN true THEN 1 END, (SELECT 1), EXISTS (SELECT 1), coalesce(1, 2), NULLIF(1, 2), greatest(1, 2), 1 IN (1), 'a' LIKE 'a', NOT true, cast(1 as int8), extract(year from date '2024-01-01'), substring('a' from 1), trim('a'), position('a' in 'a'), current_date IS NULL, row(1), interval '1 day', date '2024-01-01' FROM parents;

SELECT i4 + 1, t || 'x', upper(t), i4::text, -i4, (i4), things.i4, jb->'a', ia[1], i4 IS NULL, max(i4) OVER () FROM things WHERE id = 1;

-- queries
SELECT * FROM parents ORDER BY id;

SELECT p.*, c.* FROM parents p LEFT JOIN children c ON c.parent = p.id ORDER BY p.id, c.id;

SELECT p.name, count(c.id), sum(c.price), avg(c.price), max(c.made) FROM parents p LEFT JOIN children c ON c.parent = p.id GROUP BY p.id ORDER BY p.id;

SELECT p.name, p.rank, count(*) FROM parents p JOIN children c ON c.parent = p.id GROUP BY p.id, p.name HAVING count(*) > 1 ORDER BY 2 DESC;

SELECT name, count(*) FROM parents GROUP BY 1 ORDER BY 2 DESC, 1;

SELECT upper(name) AS n, count(*) FROM parents GROUP BY n ORDER BY n;

SELECT name FROM parents GROUP BY name, rank ORDER BY rank;

SELECT name, rank FROM parents GROUP BY name;

SELECT count(*), count(note), count(DISTINCT rank) FROM parents;

SELECT DISTINCT rank > 1 AS big FROM parents ORDER BY big;

SELECT DISTINCT name FROM parents ORDER BY rank;

SELECT DISTINCT ON (parent) parent, price FROM children ORDER BY parent, price DESC;

SELECT DISTINCT ON (parent) parent, price FROM children ORDER BY price;

SELECT * FROM parents ORDER BY rank DESC NULLS LAST, name LIMIT 2 OFFSET 1;

SELECT id FROM parents ORDER BY id FETCH FIRST 2 ROWS ONLY;

SELECT id FROM parents ORDER BY id OFFSET 1 ROWS FETCH NEXT 1 ROW ONLY;

SELECT parent FROM children ORDER BY parent NULLS FIRST FETCH FIRST 1 ROWS WITH TIES;

SELECT id FROM parents LIMIT ALL;

SELECT id FROM parents ORDER BY id LIMIT NULL OFFSET 1;

SELECT id FROM parents LIMIT -1;

SELECT id FROM parents LIMIT 1 + 1;

SELECT name AS x FROM parents ORDER BY x || 'a';

SELECT name FROM parents ORDER BY 5;

SELECT name FROM parents ORDER BY name USING >;

SELECT * FROM parents CROSS JOIN (VALUES (1, 'a'), (2, 'b')) AS v(n, l) WHERE id = 1;

SELECT * FROM parents p NATURAL JOIN (SELECT 1 AS id, 'extra' AS extra) e;

SELECT id, p.name, c.price FROM parents p JOIN children c USING (id) ORDER BY id;

SELECT * FROM parents p JOIN (SELECT parent AS id, price FROM children) c USING (id) ORDER BY id, price;

SELECT p.id, c.id FROM parents p FULL OUTER JOIN children c ON p.id = c.parent ORDER BY 1 NULLS LAST, 2 NULLS LAST;

SELECT p.id, c.id FROM parents p FULL JOIN children c ON p.id < c.parent;

SELECT a.id, b.id FROM parents a JOIN parents b ON a.id < b.id AND a.rank <> b.rank ORDER BY 1, 2;

SELECT * FROM (parents p JOIN children c ON c.parent = p.id) j;

SELECT * FROM (SELECT 1 AS a, 2 AS b) AS s(x, y);

SELECT s.* FROM (VALUES (1, 'one'), (2, 'two'), (3, NULL)) AS s (num, letter) ORDER BY num;

SELECT * FROM (VALUES (1, 'one'), (2, 'two'));

VALUES (1, 'a'), (2, 'b') ORDER BY 1 DESC;

VALUES (1, 'a'), (2);

TABLE parents;

SELECT p.name, x.price FROM parents p, LATERAL (SELECT price FROM children c WHERE c.parent = p.id ORDER BY price DESC LIMIT 1) x ORDER BY 1;

SELECT p.name, x.total FROM parents p LEFT JOIN LATERAL (SELECT sum(price) AS total FROM children c WHERE c.parent = p.id) x ON true ORDER BY 1;

SELECT name, (SELECT sum(price) FROM children c WHERE c.parent = p.id) AS total FROM parents p ORDER BY total DESC NULLS LAST;

SELECT name FROM parents p WHERE EXISTS (SELECT 1 FROM children c WHERE c.parent = p.id AND c.price > 2) ORDER BY 1;

SELECT name FROM parents p WHERE NOT EXISTS (SELECT FROM children c WHERE c.parent = p.id) ORDER BY 1;

SELECT name FROM parents WHERE id IN (SELECT parent FROM children) ORDER BY 1;

SELECT name FROM parents WHERE id NOT IN (SELECT parent FROM children) ORDER BY 1;

SELECT name FROM parents WHERE (id, rank) IN (SELECT parent, parent FROM children) ORDER BY 1;

SELECT name FROM parents WHERE (id, rank) = (SELECT 1, 1);

SELECT name FROM parents WHERE rank > ALL (SELECT parent FROM children WHERE parent IS NOT NULL);

SELECT name FROM parents WHERE id = ANY (SELECT parent FROM children) AND rank >= SOME (ARRAY[2, 3]);

SELECT (SELECT id FROM parents);

SELECT (SELECT id, name FROM parents LIMIT 1);

SELECT 1 UNION SELECT 2 UNION ALL SELECT 2 ORDER BY 1;

SELECT id, name FROM parents EXCEPT SELECT id, name FROM parents WHERE id = 1 ORDER BY 1;

SELECT 1 AS a INTERSECT SELECT 1.0;

SELECT 1 UNION SELECT 'a';

SELECT 'a' UNION SELECT 1;

SELECT 1, 2 UNION SELECT 1;

SELECT NULL UNION SELECT 1;

(SELECT 1 ORDER BY 1 LIMIT 1) UNION ALL (SELECT 2) ORDER BY 1 DESC;

SELECT id FROM parents UNION SELECT price FROM children;

SELECT 1 WHERE false UNION ALL SELECT NULL;

WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT * FROM a, b;

WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 100) SELECT sum(n) FROM t;

WITH RECURSIVE fib(a, b) AS (SELECT 0, 1 UNION ALL SELECT b, a + b FROM fib WHERE b < 100) SELECT a FROM fib ORDER BY a;

WITH RECURSIVE t AS (SELECT 1 AS n, ARRAY[1] AS path, 'a'::text AS s UNION ALL SELECT n + 1, path || (n + 1), s || 'b' FROM t WHERE n < 4) SELECT * FROM t;

WITH RECURSIVE t(n) AS (SELECT 1 UNION SELECT (n % 3) + 1 FROM t) SELECT * FROM t;

WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT n FROM t LIMIT 5;

WITH RECURSIVE t AS (SELECT id, rank, name FROM parents WHERE id = 1 UNION ALL SELECT p.id, p.rank, t.name || '/' || p.name FROM parents p JOIN t ON p.id = t.id + 1) SELECT * FROM t ORDER BY id;

WITH RECURSIVE g(a, b) AS (VALUES (1, 2), (2, 1)), s AS (SELECT 1 AS n UNION ALL SELECT g.b FROM s JOIN g ON g.a = s.n) CYCLE n SET is_cycle USING path SELECT * FROM s;

WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 3) SEARCH DEPTH FIRST BY n SET o SELECT n FROM s ORDER BY o;

WITH ins AS (INSERT INTO parents (name) VALUES ('w1'), ('w2') RETURNING id, name), del AS (DELETE FROM children WHERE price > 5 RETURNING *) SELECT (SELECT count(*) FROM ins), (SELECT count(*) FROM del), (SELECT count(*) FROM parents);

SELECT id, i4, row_number() OVER (ORDER BY id), rank() OVER (ORDER BY i4), dense_rank() OVER (ORDER BY i4), percent_rank() OVER (ORDER BY i4), cume_dist() OVER (ORDER BY i4), ntile(3) OVER (ORDER BY id), lag(id) OVER (ORDER BY id), lead(id, 2, -1) OVER (ORDER BY id), first_value(id) OVER w, last_value(id) OVER w, nth_value(id, 2) OVER w FROM things WINDOW w AS (PARTITION BY b ORDER BY id) ORDER BY id;

SELECT id, sum(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING), sum(id) OVER (ORDER BY id RANGE BETWEEN 2 PRECEDING AND CURRENT ROW), count(*) OVER (ORDER BY i4 GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW), sum(id) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW) FROM things ORDER BY id;

SELECT id, count(*) OVER (ORDER BY d RANGE BETWEEN interval '1 month' PRECEDING AND CURRENT ROW) FROM things WHERE d IS NOT NULL ORDER BY id;

SELECT id, sum(i4) OVER w, avg(i4) OVER w FROM things WHERE i4 IS NOT NULL WINDOW w AS (PARTITION BY b), w2 AS (w ORDER BY id) ORDER BY id;

SELECT parent, price, price - lag(price) OVER (PARTITION BY parent ORDER BY price) AS diff, sum(sum(price)) OVER () FROM children GROUP BY parent, price ORDER BY 1, 2;

SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY parent ORDER BY price DESC) AS rn FROM children) s WHERE rn = 1 ORDER BY id;

SELECT b, i4, count(*), grouping(b), grouping(b, i4) FROM things GROUP BY ROLLUP (b, i4) ORDER BY 1, 2, 3;

SELECT b, count(*), sum(i2) FROM things GROUP BY GROUPING SETS ((b), ()) ORDER BY 1;

SELECT b, vc, count(*) FROM things GROUP BY CUBE (b, vc);

SELECT b, count(*) FROM things GROUP BY DISTINCT ROLLUP (b, b);

SELECT count(*) FILTER (WHERE b), count(*) FILTER (WHERE NOT b), sum(i2) FILTER (WHERE i2 > 0) FROM things;

SELECT mode() WITHIN GROUP (ORDER BY vc) FROM things;

SELECT string_agg(DISTINCT vc, ',' ORDER BY vc), string_agg(vc, ',' ORDER BY id DESC), string_agg(t, NULL ORDER BY id) FROM things;

SELECT string_agg(DISTINCT vc, ',' ORDER BY id) FROM things;

SELECT max(t), min(vc), max(u), min(by), max(b::int), max(ia), min(c), max(jb::text) FROM things;

SELECT max(b) FROM things;

SELECT min(u) FROM things;

SELECT sum(t) FROM things;

SELECT avg(b) FROM things;

SELECT nope FROM parents;

SELECT p.nope FROM parents p;

SELECT x.id FROM parents p;

SELECT id FROM parents p, children c;

SELECT * FROM nope;

SELECT * FROM nope.nope;

SELECT nope(1);

SELECT upper(1);

SELECT upper(1, 2);

SELECT 1 + 'a';

SELECT 1 + 'a'::text;

SELECT 'a' + 'b';

SELECT 1 = 'a'::text;

SELECT now() + 1;

SELECT date '2024-01-01' + date '2024-01-01';

SELECT true + 1;

SELECT NOT 1;

SELECT 1 WHERE 1;

SELECT id FROM parents WHERE name;

SELECT id FROM parents WHERE name = 5;

SELECT id FROM parents WHERE id = 'x';

SELECT id FROM parents WHERE id = '1';

SELECT id FROM parents WHERE sum(id) > 1;

SELECT id FROM parents GROUP BY id HAVING name = 'x';

SELECT sum(sum(id)) FROM parents;

SELECT id, count(*) FROM children;

SELECT row_number() OVER () FROM parents WHERE row_number() OVER () > 1;

SELEC 1;

SELECT FROM WHERE;

SELECT 1 FROM;

SELECT (1;

SELECT 'abc;

SELECT * FROM parents p JOIN children c;

SELECT $1;

SELECT 1 AS a, 2 AS a ORDER BY a;

SELECT * FROM (SELECT 1 AS a, 2 AS a) s WHERE a = 1;

SELECT id FROM parents, parents;

SELECT ALL id FROM parents ORDER BY id;

SELECT;

SELECT FROM parents;

-- changes
INSERT INTO parents (name) VALUES ('four'), ('five') RETURNING id > 3, name, rank, note;
INSERT INTO parents VALUES (DEFAULT, 'six', DEFAULT, NULL) RETURNING name, rank;
INSERT INTO parents (name, rank) SELECT name || '2', rank + 1 FROM parents WHERE rank <= 2 RETURNING name, rank;
INSERT INTO parents DEFAULT VALUES;
INSERT INTO parents (name) VALUES ('one');
INSERT INTO parents (name, rank) VALUES ('neg', -1);
INSERT INTO parents (name, note) VALUES ('long', 'too long text');
INSERT INTO parents (name, note) VALUES ('spaces', 'abc       ') RETURNING note || '|';
INSERT INTO parents (name) VALUES (NULL);
INSERT INTO parents (nope) VALUES (1);
INSERT INTO parents (name, rank) VALUES ('x', 'y');
INSERT INTO parents (name, rank) VALUES ('x', now());
INSERT INTO parents (name, rank) VALUES ('x', 1.6) RETURNING rank;
INSERT INTO parents (name, rank) VALUES ('y');
INSERT INTO parents (name) VALUES ('y', 1);
INSERT INTO parents (id, name) VALUES (1, 'dup');
INSERT INTO parents (name) VALUES (5), (true::text) RETURNING name;
INSERT INTO parents (name, rank) VALUES ('z', 3000000000);
INSERT INTO children (parent, price) VALUES (99, 5);
INSERT INTO children (id, price) VALUES (100, 5);
INSERT INTO children (id, price) OVERRIDING SYSTEM VALUE VALUES (100, 5) RETURNING id, total;
INSERT INTO children (price, total) VALUES (1, 2);
INSERT INTO children (price) VALUES (99999);
INSERT INTO children (price) VALUES (1.005), (1.004) RETURNING price, total;
INSERT INTO children (price, tags) VALUES (7, ARRAY['x']), (8, '{}') RETURNING tags, total;
UPDATE children SET total = 5;
UPDATE children SET total = DEFAULT, price = 3.5 WHERE id = 1 RETURNING total;
UPDATE parents SET nope = 1;
UPDATE parents SET rank = rank + 1 WHERE id = 1 RETURNING *;
UPDATE parents SET (rank, note) = (5, 'n') WHERE id = 1 RETURNING rank, note;
UPDATE parents SET (rank, note) = (SELECT 6, 'm') WHERE id = 1 RETURNING rank, note;
UPDATE parents SET (rank, note) = ROW (7, 'k') WHERE id = 1 RETURNING rank, note;
UPDATE parents SET rank = DEFAULT WHERE id = 2 RETURNING rank;
UPDATE parents SET rank = (SELECT count(*) + 1 FROM children c WHERE c.parent = parents.id) RETURNING name, rank;
UPDATE parents p SET note = left(c.price::text, 5) FROM children c WHERE c.parent = p.id AND c.price > 2 RETURNING p.id, p.note;
UPDATE parents SET id = id + 100 WHERE id = 3 RETURNING id;
UPDATE parents SET id = id + 100 WHERE id = 2;
UPDATE parents SET rank = 0 WHERE id = 1;
UPDATE parents SET name = NULL WHERE id = 1;
UPDATE parents SET name = 'two' WHERE id = 1;
UPDATE parents SET name = name || '!' RETURNING old.name;
DELETE FROM parents WHERE id = 1 RETURNING *;
SELECT id, parent FROM children ORDER BY id;
DELETE FROM parents p USING children c WHERE c.parent = p.id RETURNING p.name, c.price;
DELETE FROM nope;
DELETE FROM children;
TRUNCATE parents;
TRUNCATE parents CASCADE;
SELECT count(*) FROM parents;

INSERT INTO parents (name, rank) VALUES ('one', 10) ON CONFLICT (name) DO UPDATE SET rank = EXCLUDED.rank + parents.rank RETURNING name, rank;
INSERT INTO parents (name, rank) VALUES ('one', 10), ('new', 11) ON CONFLICT DO NOTHING RETURNING name;
INSERT INTO parents (name, rank) VALUES ('one', 10) ON CONFLICT (name) DO UPDATE SET rank = 3 WHERE parents.rank > 100 RETURNING *;
INSERT INTO parents (name, rank) VALUES ('one', 10) ON CONFLICT ON CONSTRAINT parents_name_key DO UPDATE SET rank = 4 RETURNING rank;
INSERT INTO parents (name, rank) VALUES ('dup', 10), ('dup', 11) ON CONFLICT (name) DO UPDATE SET rank = EXCLUDED.rank;
INSERT INTO parents (name, rank) VALUES ('one', 10) ON CONFLICT (rank) DO NOTHING;
INSERT INTO parents (name, rank) VALUES ('one', 10) ON CONFLICT DO UPDATE SET rank = 1;
INSERT INTO parents AS q (name, rank) VALUES ('one', 9) ON CONFLICT (name) DO UPDATE SET (rank, note) = (EXCLUDED.rank, q.note) RETURNING q.rank, (xmax = 0);
INSERT INTO children (parent, price) VALUES (1, 1.00) ON CONFLICT (parent, price) DO UPDATE SET tags = array_append(children.tags, 'again') RETURNING tags;

MERGE INTO parents p USING (VALUES ('one', 100), ('fresh', 5)) AS s(name, rank) ON p.name = s.name WHEN MATCHED THEN UPDATE SET rank = s.rank WHEN NOT MATCHED THEN INSERT (name, rank) VALUES (s.name, s.rank);
SELECT name, rank FROM parents ORDER BY name;
MERGE INTO parents p USING children c ON c.parent = p.id WHEN MATCHED THEN DELETE;
MERGE INTO parents p USING (SELECT 2 AS id) s ON p.id = s.id WHEN MATCHED AND p.rank > 100 THEN DELETE WHEN MATCHED THEN DO NOTHING;

CREATE TABLE plain (a int, b text DEFAULT 'd', c numeric(5,2), CONSTRAINT positive CHECK (a > 0), UNIQUE (a, b));
INSERT INTO plain VALUES (1, 'x', 1.5), (2, DEFAULT, NULL);
INSERT INTO plain VALUES (0, 'x', 1);
INSERT INTO plain VALUES (1, 'x', 2);
ALTER TABLE plain ADD COLUMN e timestamptz DEFAULT '2024-01-01Z', ADD COLUMN f bool NOT NULL DEFAULT false;
SELECT * FROM plain ORDER BY a;
ALTER TABLE plain ADD COLUMN a int;
ALTER TABLE plain ADD COLUMN IF NOT EXISTS a int;
ALTER TABLE plain ALTER COLUMN a TYPE int8, ALTER COLUMN b SET NOT NULL;
ALTER TABLE plain DROP COLUMN nope;
ALTER TABLE plain RENAME COLUMN c TO cc;
ALTER TABLE plain ADD PRIMARY KEY (a);
INSERT INTO plain (a, b) VALUES (1, 'q');
CREATE INDEX plain_b ON plain (b);
CREATE INDEX plain_b ON plain (b);
CREATE INDEX IF NOT EXISTS plain_b ON plain (b);
CREATE UNIQUE INDEX plain_lower ON plain (lower(b)) WHERE a > 1;
CREATE TABLE plain (a int);
CREATE TABLE IF NOT EXISTS plain (a int);
CREATE TABLE bad (a nope);
CREATE TABLE bad (a int, a int);
CREATE TABLE bad (a int REFERENCES nope);
CREATE TABLE bad (a int PRIMARY KEY, b int PRIMARY KEY);
CREATE TABLE copy AS SELECT a, b || 'x' AS bx FROM plain;
SELECT * FROM copy ORDER BY a;
CREATE TABLE copy2 AS SELECT 1 AS x WITH NO DATA;
SELECT * INTO copy3 FROM plain;
SELECT * FROM copy3 ORDER BY a;
CREATE VIEW seen AS SELECT a FROM plain;
DROP TABLE plain;
DROP TABLE plain CASCADE;
DROP TABLE plain;
DROP TABLE IF EXISTS plain;
DROP VIEW nope;
DROP INDEX nope;
DROP SCHEMA nope;
CREATE SCHEMA IF NOT EXISTS differential;
CREATE SCHEMA differential;
CREATE SEQUENCE s1 START 10 INCREMENT 5 MAXVALUE 20;
SELECT nextval('s1'), nextval('s1'), nextval('s1');
SELECT nextval('s1');
CREATE TYPE mood AS ENUM ('a');
COMMENT ON TABLE parents IS 'hello';
SELECT obj_description('parents'::regclass, 'pg_class');
SAVEPOINT x;
RELEASE x;
ROLLBACK TO x;
SET LOCAL statement_timeout = '4s';
SHOW statement_timeout;
SHOW nope;
SET nope = 1;
SET TimeZone = 'UTC';
SHOW TimeZone;
SHOW transaction_isolation;
SHOW server_encoding;
SHOW standard_conforming_strings;
SHOW DateStyle;
SHOW IntervalStyle;
SHOW search_path;
SHOW client_encoding;
SHOW max_connections;
GRANT SELECT ON parents TO public;
REVOKE SELECT ON parents FROM public;
ALTER TABLE parents OWNER TO postgres;
CREATE ROLE somebody;
LOCK TABLE parents;
PREPARE q(int) AS SELECT $1 + 1;
EXECUTE q(5);
EXECUTE nope(5);
DEALLOCATE q;
DECLARE cu CURSOR FOR SELECT id FROM parents ORDER BY id;
FETCH 2 FROM cu;
FETCH ALL cu;
CLOSE cu;
CLOSE cu;

-- casts between types
SELECT '1'::text::int, 1::text, 1.5::text, true::text, 'true'::text::bool, 1::int2::int8::numeric::float8, '2024-01-01'::text::date, date '2024-01-01'::text, 65::"char", 'abc'::text::bytea, 1::oid, '5'::oid, 1::numeric::text, '1.5'::varchar::numeric;

SELECT 1::date;

SELECT true::float8;

SELECT date '2024-01-01'::int;

SELECT '{1,2,3}'::vector;

SELECT '[1,2,3]'::vector(2);

SELECT '[1,2,3]'::vector::float4[], ARRAY[1,2,3]::vector(3), '[1,2,3]'::vector <-> '[4,5,6]', '[1,2,3]'::vector + '[1,1,1]', '[1,2,3]'::vector = '[1,2,3]', '[1,2,3]'::vector < '[1,2,4]', vector_dims('[1,2]'::vector), vector_norm('[3,4]'), l2_distance('[0,0]'::vector, '[3,4]'::vector), inner_product('[1,2]'::vector, '[3,4]'), cosine_distance('[1,0]'::vector, '[0,1]'), l1_distance('[0,0]'::vector, '[3,4]'), l2_normalize('[3,4]'::vector), binary_quantize('[1,-1,0]'::vector), subvector('[1,2,3,4]'::vector, 2, 2), '[1,2]'::vector || '[3]';

SELECT '[1,2]'::vector <-> '[1,2,3]';

SELECT '[]'::vector;

SELECT '[1,x]'::vector;

SELECT '[1,NaN]'::vector;

SELECT '[65505]'::halfvec, '[1e-8]'::halfvec;

SELECT '[70000]'::halfvec;

SELECT avg(v), sum(v), avg(h), sum(h), count(v) FROM things;

SELECT id, v <-> '[1,1,1]' AS dist FROM things ORDER BY v <-> '[1,1,1]', id LIMIT 3;

SELECT id FROM things WHERE v <-> '[1,1,1]' < 2 ORDER BY id;

SELECT id, 1 - (v <=> '[1,1,1]') AS similarity FROM things WHERE v IS NOT NULL ORDER BY similarity DESC, id;

SELECT '{1:1,3:2}/5'::sparsevec, '{1:1,3:2}/5'::sparsevec::vector, '[1,0,2]'::vector::sparsevec, '{1:1}/5'::sparsevec <-> '{2:1}/5', '{9:1}/5'::sparsevec;

SELECT v::text, v::float4[], v::halfvec, h::vector, sv::vector, bt::text, bt::int FROM things ORDER BY id;

-- catalogues, as tools ask
SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema = 'differential' ORDER BY 2;

SELECT column_name, ordinal_position, column_default, is_nullable, data_type, character_maximum_length, numeric_precision, numeric_scale, datetime_precision, udt_name, is_identity, identity_generation, is_generated FROM information_schema.columns WHERE table_schema = 'differential' AND table_name IN ('things', 'parents', 'children') ORDER BY table_name, ordinal_position;

SELECT tc.constraint_name, tc.constraint_type, kcu.column_name FROM information_schema.table_constraints tc JOIN information_schema.key_column_usage kcu ON tc.constraint_name = kcu.constraint_name AND tc.table_schema = kcu.table_schema WHERE tc.table_schema = 'differential' ORDER BY 1, 3;

SELECT rc.constraint_name, rc.unique_constraint_name, rc.update_rule, rc.delete_rule FROM information_schema.referential_constraints rc WHERE rc.constraint_schema = 'differential';

SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = 'differential';

SELECT schema_name FROM information_schema.schemata WHERE schema_name IN ('public', 'differential', 'pg_catalog', 'information_schema') ORDER BY 1;

SELECT sequence_name, data_type, start_value, minimum_value, maximum_value, increment FROM information_schema.sequences WHERE sequence_schema = 'differential' ORDER BY 1;

SELECT constraint_name, check_clause FROM information_schema.check_constraints WHERE constraint_schema = 'differential' AND constraint_name NOT LIKE '%not_null' ORDER BY 1;

SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef, a.attnum, a.attidentity, a.attgenerated, a.atttypmod, a.attlen, t.typname, t.typtype, t.typcategory FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = 'differential.things'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;

SELECT c.relname, c.relkind, c.relhasindex, c.relnatts, c.relchecks, c.relpersistence, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'differential' ORDER BY 1;

SELECT i.relname, ix.indisunique, ix.indisprimary, ix.indnatts, pg_get_indexdef(ix.indexrelid), array_agg(a.attname ORDER BY a.attnum) FROM pg_index ix JOIN pg_class i ON i.oid = ix.indexrelid JOIN pg_class t ON t.oid = ix.indrelid JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY(ix.indkey) JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = 'differential' GROUP BY 1, 2, 3, 4, ix.indexrelid ORDER BY 1;

SELECT schemaname, tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'differential' ORDER BY 3;

SELECT schemaname, tablename, hasindexes FROM pg_tables WHERE schemaname = 'differential' ORDER BY 2;

SELECT conname, contype, confdeltype, confupdtype, conkey, confkey, condeferrable FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname = 'differential' ORDER BY 1;

SELECT typname, typlen, typbyval, typtype, typcategory, typdelim, typelem, typarray FROM pg_type WHERE typname IN ('bool', 'int4', '_int4', 'text', 'varchar', 'bpchar', 'numeric', 'timestamptz', 'jsonb', 'uuid', 'bytea', 'interval', 'date') ORDER BY 1;

SELECT oid, typname FROM pg_type WHERE oid < 1300 AND typname IN ('bool','bytea','char','name','int8','int2','int4','regproc','text','oid','json','float4','float8','money','varchar','date','time','timestamp','timestamptz','interval') ORDER BY oid;

SELECT viewname, definition FROM pg_views WHERE schemaname = 'differential';

SELECT sequencename, start_value, increment_by, cache_size, cycle FROM pg_sequences WHERE schemaname = 'differential' ORDER BY 1;

SELECT extname FROM pg_extension WHERE extname = 'vector';

SELECT datname, datallowconn, datistemplate FROM pg_database WHERE datname = current_database() AND false;

SELECT rolname, rolsuper, rolcanlogin FROM pg_roles WHERE rolname = 'postgres';

SELECT count(*) > 0 FROM pg_settings WHERE name IN ('max_connections', 'work_mem', 'server_version');

SELECT count(*) FROM pg_stat_activity WHERE pid = pg_backend_pid();

SELECT relname, n_live_tup >= 0 FROM pg_stat_user_tables WHERE schemaname = 'differential' ORDER BY 1;

SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_toast%' AND nspname NOT LIKE 'pg_temp%' AND nspname IN ('pg_catalog', 'public', 'information_schema') ORDER BY 1;

SELECT proname, pronargs FROM pg_proc WHERE proname IN ('upper', 'l2_distance', 'now') ORDER BY 1, 2;

SELECT enumlabel FROM pg_enum;

SELECT amname FROM pg_am ORDER BY 1;

SELECT collname FROM pg_collation WHERE collname IN ('C', 'default', 'POSIX') ORDER BY 1;

SELECT opcname FROM pg_opclass WHERE opcname LIKE 'vector%' ORDER BY 1;

SELECT c.oid IS NOT NULL, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(parents)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3;

SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull, (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS attcollation, a.attidentity, a.attgenerated FROM pg_catalog.pg_attribute a WHERE a.attrelid = 'children'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;

SELECT conrelid::pg_catalog.regclass AS ontable, conname, pg_catalog.pg_get_constraintdef(oid, true) AS condef FROM pg_catalog.pg_constraint c WHERE confrelid = 'parents'::regclass AND contype = 'f' ORDER BY conname;

SELECT 'parents'::regclass::oid::regclass::text, 23::regtype, 'integer'::regtype::oid, 'vector'::regtype IS NOT NULL;

SELECT int4range(1, 5), daterange('2024-01-01', '2024-02-01'), 3 <@ int4range(1, 5);

SELECT '192.168.0.1'::inet, '10.0.0.0/8'::cidr;

SELECT '12.34'::money;

SELECT point(1, 2), '(1,2)'::point;

SELECT '<a/>'::xml;

SELECT t.ctid IS NOT NULL, t.tableoid::regclass, t.xmin IS NOT NULL FROM parents t LIMIT 1;

-- ORMs
SELECT 1 AS one FROM "parents" WHERE "parents"."name" = 'one' LIMIT 1;

SELECT EXISTS(SELECT 1 FROM parents WHERE name = 'one') AS "exists";

SELECT COUNT(*) AS "__count" FROM "parents" WHERE ("parents"."name"::text LIKE '%n%' AND UPPER("parents"."name"::text) LIKE UPPER('O%'));

SELECT "parents"."id", COUNT("children"."id") AS "n" FROM "parents" LEFT OUTER JOIN "children" ON ("parents"."id" = "children"."parent") GROUP BY "parents"."id" HAVING COUNT("children"."id") > 0 ORDER BY "n" DESC, "parents"."id" ASC LIMIT 21;

SELECT DATE_TRUNC('month', "made" AT TIME ZONE 'UTC') AS "m", COUNT(*) FROM children GROUP BY 1;

SELECT EXTRACT('month' FROM "made" AT TIME ZONE 'UTC'), ("made" AT TIME ZONE 'UTC')::date FROM children WHERE id = 1;

SELECT anon_1.id FROM (SELECT parents.id AS id, row_number() OVER (PARTITION BY parents.rank ORDER BY parents.id) AS rn FROM parents) AS anon_1 WHERE anon_1.rn = 1 ORDER BY anon_1.id;

SELECT CAST(id AS VARCHAR), CAST(price AS FLOAT), CAST(price AS INTEGER), CAST(id AS BIGINT), CAST(price AS DECIMAL(10, 1)), CAST(id AS DOUBLE PRECISION), CAST(made AS DATE) FROM children ORDER BY id;

SELECT coalesce(sum(price) FILTER (WHERE parent = 1), 0) AS s, count(*) FILTER (WHERE tags @> '{a}') AS a FROM children;

SELECT * FROM children WHERE 'a' = ANY(tags) ORDER BY id;

SELECT * FROM children WHERE tags && ARRAY['b', 'c']::varchar[] ORDER BY id;

SELECT * FROM children WHERE price BETWEEN 1 AND 3 AND parent IS NOT NULL AND made > now() - interval '100 years' ORDER BY made DESC, id ASC;

SELECT id FROM children WHERE price::text ILIKE '%.5%' OR tags = '{}' ORDER BY 1;

SELECT id FROM children ORDER BY CASE WHEN parent IS NULL THEN 0 ELSE 1 END, price DESC;

SELECT id FROM children ORDER BY array_position(ARRAY[3, 1, 2], id), id;

SELECT * FROM parents WHERE (name, id) > ('one', 0) ORDER BY name, id LIMIT 5;

SELECT (SELECT max(id) FROM parents) - (SELECT min(id) FROM parents) AS spread, 100.0 * count(*) / NULLIF((SELECT count(*) FROM children), 0) AS pct FROM parents;

SELECT date_trunc('day', made)::date AS day, count(*), round(avg(price), 2), round(avg(price)::numeric, 1), sum(price)::float FROM children GROUP BY day ORDER BY day;

SELECT width_bucket(price, 0, 10, 4) AS bucket, count(*), min(price), max(price) FROM children GROUP BY bucket ORDER BY bucket;

SELECT p.name, c.tags[1], cardinality(c.tags), array_length(c.tags, 1) FROM parents p JOIN children c ON p.id = c.parent ORDER BY c.id;

SELECT tag, count(*) FROM children, unnest(tags) AS tag GROUP BY tag ORDER BY tag;

SELECT c.id, t.tag FROM children c CROSS JOIN LATERAL unnest(c.tags) AS t(tag) ORDER BY 1, 2;

SELECT c.id, t.tag FROM children c LEFT JOIN unnest(c.tags) AS t(tag) ON true ORDER BY 1, 2;

SELECT unnest(tags), id FROM children ORDER BY id;

SELECT id, string_agg(tag, '+' ORDER BY tag) FROM (SELECT id, unnest(tags) AS tag FROM children) s GROUP BY id ORDER BY id;

SELECT lower(name) = 'one', name ILIKE '%ON%', name ~* 'ONE', position('n' in name), concat(name, '-', rank) FROM parents ORDER BY id;

SELECT count(*) OVER () AS total, id FROM parents ORDER BY id LIMIT 1;

SELECT max(id) FILTER (WHERE rank > 1), (array_agg(name ORDER BY id DESC))[1], (array_agg(name ORDER BY id))[1:2] FROM parents;

SELECT CURRENT_TIMESTAMP::timestamptz IS NOT NULL, now() AT TIME ZONE 'utc' IS NOT NULL, extract(epoch from now())::bigint > 0, to_char(now(), 'YYYY') ~ '^\d{4}$';

SELECT to_tsvector('english', 'The quick fox') @@ to_tsquery('fox'), ts_rank(to_tsvector('a fox'), to_tsquery('fox'));

SELECT similarity('a', 'b');

SELECT crypt('a', 'b');

SELECT xmlparse(document '<a/>');

SELECT grouping(name) FROM parents;

SELECT 'a' < 'B', 'a' < 'b', 'Z' < 'a', 'é' > 'z', upper('é'), lower('É'), initcap('éa');

SELECT pg_advisory_lock(1), pg_advisory_unlock(1), pg_try_advisory_lock(2), pg_advisory_unlock_all();

SELECT id FROM parents ORDER BY id FOR UPDATE;

SELECT id FROM parents FOR UPDATE SKIP LOCKED LIMIT 1;

SELECT count(*) FROM parents FOR UPDATE;

SELECT * FROM parents TABLESAMPLE BERNOULLI (100) ORDER BY id;

SELECT currval('nope'), 1;

EXPLAIN SELECT nope FROM parents;

COPY parents TO '/tmp/x';

SELECT sum(1) OVER (PARTITION BY NULL), count(DISTINCT id) OVER () FROM parents;

SELECT last_value(name) OVER (ORDER BY id), lag(name, 1, 'none') OVER (ORDER BY id DESC), first_value(name) IGNORE NULLS OVER (ORDER BY id) FROM parents;

SELECT nth_value(id, 0) OVER () FROM parents;

SELECT ntile(0) OVER () FROM parents;

SELECT NULL, NULL::text, '' IS NULL, NULL = NULL, NULL || 'a', coalesce(NULL, NULL), count(NULL), sum(NULL::int) FROM parents;

SELECT 10 % 3.5, 10.5 % 3, -10 % 3, 5 / 2 * 2.0, 2 ^ 3 ^ 2, -2 ^ 2, 7 - 2 - 1, NOT true OR true, 1 < 2 = true, 'a' || 'b' = 'ab', 5 & 3 | 8, 1 + 2 || 'x';

SELECT 1 IS NOT NULL AND 2 > 1, 3 BETWEEN 1 AND 2 OR true, 'abc' LIKE 'a%' AND 'x' IN ('x', 'y'), -1 IN (-1, 2), - 3 % 2, 2 * -3, +5, - - 5;

SELECT int4 '2147483648';

SELECT 2147483648, pg_typeof(2147483648), pg_typeof(-2147483648), pg_typeof(9223372036854775808), 1.0e3, pg_typeof(1e3), .5, 5.;

SELECT 0.1::numeric(2,1), 1::numeric(1,1);

SELECT round(1.005, 2), round(1e15 + 0.5), trunc(1.999, 2), round(0.5), round(1.5), round(-0.5), round(123.456, 1)::float8, 1234.5678::numeric(8,3);

SELECT sum(f4), sum(f8), avg(f4), avg(n), sum(n), sum(i2), sum(i8) FILTER (WHERE id < 4), max(f8), min(f8) FROM things WHERE id <> 6;

SELECT f4, f8, f4::text, f8::text, n, n * 2, n / 3, n + i4, n::int, f8::numeric FROM things WHERE id IN (1, 2, 7, 8) ORDER BY id;

SELECT id FROM things ORDER BY f8 DESC, id;

SELECT id FROM things ORDER BY iv, id;

SELECT id FROM things ORDER BY jb, id;

SELECT id FROM things ORDER BY ia NULLS FIRST, id;

SELECT id FROM things ORDER BY v, id;

SELECT id FROM things ORDER BY t DESC NULLS LAST, id;

SELECT id FROM things ORDER BY c, id;

SELECT id FROM things ORDER BY by, id;

SELECT c, count(*) FROM things GROUP BY c ORDER BY c;

SELECT iv, count(*) FROM things GROUP BY iv ORDER BY iv;

SELECT f8, count(*) FROM things GROUP BY f8 ORDER BY f8;

SELECT j FROM things GROUP BY j;

SELECT v, count(*) FROM things GROUP BY v ORDER BY v;

SELECT DISTINCT j FROM things;

SELECT id FROM things ORDER BY j;

SELECT * FROM things ORDER BY id;

SELECT t FROM things WHERE t LIKE 'a\%%';

SELECT t FROM things WHERE t LIKE '%\\%';

SELECT a.id, b.id FROM things a JOIN things b ON a.c = b.vc ORDER BY 1, 2;

SELECT a.id FROM things a WHERE a.c = 'ab   ';

SELECT a.id FROM things a WHERE a.vc = 'apple ';

SELECT (tm + interval '25 hours'), (tm - interval '1 hour'), (ts - tz::timestamp), (d - ts::date), ts::time, tz::date, tz::time, d::timestamptz, extract(epoch from tm) FROM things WHERE id IN (1, 2, 4) ORDER BY id;

-- what was found on the way: aggregates, quantifiers, literals, settings, definitions
SELECT string_agg(t, ',') FROM things;

SELECT string_agg(t, ',') FROM things WHERE false;

SELECT string_agg(name, ', ' ORDER BY name) AS names FROM parents;

SELECT parent, string_agg(price::text, ',') FROM children GROUP BY parent;

SELECT (SELECT string_agg(name, ',') FROM parents);

SELECT string_agg(DISTINCT name, ',') FROM parents WHERE id = 1;

SELECT upper(string_agg(name, ',' ORDER BY id)) FROM parents;

SELECT coalesce(string_agg(name, ',' ORDER BY id), '') FROM parents;

SELECT * FROM (SELECT string_agg(name, ',' ORDER BY id) AS s FROM parents) x;

SELECT id FROM things a WHERE a.i4 < ANY (SELECT a.i4 FROM others a WHERE a.id < 3);

SELECT id FROM things a WHERE a.i4 >= ALL (SELECT a.i4 FROM others a WHERE a.i4 > 0);

SELECT id FROM things a WHERE a.i4 <> ALL (SELECT a.i4 FROM others a WHERE a.i4 > 0);

SELECT id FROM things a WHERE a.i4 = ANY (SELECT a.i4 FROM others a);

SELECT id FROM things WHERE i4 >= ALL (SELECT i4 FROM others WHERE i4 > 0);

SELECT id FROM things WHERE i4 > ANY (SELECT o.i4 FROM others o WHERE o.id > 2);

SELECT id FROM things WHERE id <= ALL (SELECT id FROM others);

SELECT id FROM things a WHERE a.v <= ALL (SELECT o.v FROM others o WHERE o.v IS NOT NULL);

SELECT id FROM things a WHERE a.d <= ALL (SELECT o.d FROM others o WHERE o.d IS NOT NULL);

SELECT id FROM things WHERE i4 > ALL (SELECT i4 FROM others WHERE false);

SELECT id FROM things WHERE i4 > ALL (SELECT i4 FROM others);

SELECT id, i4 > ALL (SELECT i4 FROM others), i4 = ANY (SELECT i4 FROM others) FROM things;

SELECT id, EXISTS (SELECT 1 FROM others o WHERE o.id = a.id), id IN (SELECT id FROM others), id NOT IN (SELECT id FROM others), i4 NOT IN (SELECT i4 FROM others), i4 IN (SELECT i4 FROM others), i4 IN (SELECT i4 FROM others WHERE i4 IS NOT NULL), i4 NOT IN (SELECT i4 FROM others WHERE false) FROM things a;

SELECT id FROM things a WHERE i4 NOT IN (SELECT i4 FROM others WHERE false) OR false;

SELECT id FROM things a WHERE NOT (i4 IN (SELECT i4 FROM others WHERE i4 > 0)) OR id = 3;

SELECT id FROM things a WHERE (i4 IN (SELECT i4 FROM others WHERE i4 > 0)) IS NULL;

SELECT id FROM things a WHERE (i4 IN (SELECT i4 FROM others)) IS NOT TRUE;

SELECT id FROM things a WHERE coalesce(i4 IN (SELECT i4 FROM others), true);

SELECT id, CASE WHEN i4 IN (SELECT o.i4 FROM others o WHERE o.id = a.id) THEN 1 ELSE 0 END FROM things a;

SELECT rank() OVER (ORDER BY d), rank() OVER (ORDER BY t), rank() OVER (ORDER BY tm), rank() OVER (ORDER BY tz), rank() OVER (ORDER BY n), rank() OVER (ORDER BY b), rank() OVER (ORDER BY iv), rank() OVER (ORDER BY u), rank() OVER (ORDER BY by), rank() OVER (ORDER BY v), rank() OVER (ORDER BY ia), rank() OVER (ORDER BY bt), rank() OVER (ORDER BY c), rank() OVER (ORDER BY jb), rank() OVER (ORDER BY h), rank() OVER (ORDER BY sv), rank() OVER (ORDER BY ta), rank() OVER (ORDER BY f4) FROM things;

SELECT count(*) OVER (ORDER BY u), row_number() OVER (ORDER BY u), lag(id) OVER (ORDER BY u), sum(id) OVER (PARTITION BY u), row_number() OVER (PARTITION BY b ORDER BY u DESC), sum(id) OVER (ORDER BY u ROWS UNBOUNDED PRECEDING) FROM things;

SELECT md5(t)::uuid FROM things;

SELECT substr(md5(t), 1, 8)::text || 'x', md5(t)::text, md5(t) = 'a', lower(md5(t)), md5(t)::bytea, encode(sha256(t::bytea), 'hex') FROM things;

SELECT split_part(t, ' ', 1)::uuid FROM things WHERE false;

SELECT replace(t, 'a', 'b')::uuid, substr(t, 1, 3)::jsonb, left(t, 1)::vector, trim(t)::interval, concat(t)::numeric FROM things WHERE false;

SELECT substr('[1,2,3]x', 1, 7)::vector, substr('[1,2,3]x', 1, 7)::jsonb, concat('2024-01-01')::date, concat('1 day')::interval, left('12x', 2)::int, trim(' 1.5 ')::numeric, lower('{A}')::text[], replace('1.1', '1', '2')::float8, translate('11111111-1111-1111-1111-111111111111', '1', '2')::uuid, reverse('1')::int8, lpad('1', 3, '0')::int, md5('x')::bytea, regexp_replace('1a', 'a', '')::int, split_part('a,5', ',', 2)::int, to_char(5, '9')::int, upper('t')::bool, repeat('1', 4)::bit(4), chr(50)::int, substring('abc5' from '[0-9]')::int, right('a5', 1)::int2, initcap('12:00')::time, md5('x')::uuid;

SELECT json_agg(j) FROM things WHERE id < 3;

SELECT row_to_json(t) FROM (SELECT 1 AS a, '{"x":1}'::json AS b) t;

SELECT json_build_array('{"x":1}'::json);

SELECT jsonb_build_object('a', '{"x":1}'::json);

SELECT to_jsonb('{"x":1}'::json);

SELECT jsonb_agg(j) FROM things WHERE id < 3;

SELECT json_agg(x) FROM (SELECT json_build_object('id', id) AS x FROM parents WHERE id < 3 ORDER BY id) s;

SELECT json_build_object('items', (SELECT json_agg(json_build_object('p', price)) FROM children WHERE parent = 1));

SELECT json_build_object('items', json_agg(name ORDER BY id)) FROM parents;

SELECT jsonb_build_object('items', jsonb_agg(name ORDER BY id)) FROM parents;

SELECT json_build_object('a', CASE WHEN id = 1 THEN '{"x":1}'::json END) FROM parents WHERE id = 1;

SELECT coalesce((SELECT json_agg(json_build_object('p', price)) FROM children WHERE parent = 1), '[]'::json);

SELECT coalesce(json_agg(json_build_object('p', price)) FILTER (WHERE id IS NOT NULL), '[]') FROM children WHERE parent = 1;

SELECT '{"a":{"b":1}}'::json->'a', ('{"a":{"b":1}}'::json->'a')->>'b', json_agg('{"a":{"b":1}}'::json->'a');

SELECT j->'a' FROM things WHERE id IN (1, 6) ORDER BY id;

SELECT coalesce(j, '{}') FROM things WHERE id = 1;

SELECT CASE WHEN true THEN j END FROM things WHERE id = 1;

SELECT j FROM things WHERE id = 1 UNION ALL SELECT '{}'::json;

SELECT max(vc), min(vc), coalesce(vc, 'x'), nullif(vc, 'x'), CASE WHEN true THEN vc END, max(c), lag(vc) OVER (), array_agg(vc) FROM things GROUP BY vc;

SELECT vc FROM things WHERE id = 1 UNION SELECT vc FROM others WHERE id = 2;

SELECT coalesce(d, '2024-01-01') FROM things WHERE id = 3;

SELECT coalesce(u, '11111111-1111-1111-1111-111111111111') FROM things WHERE id = 3;

SELECT coalesce(jb, '{}'), coalesce(ia, '{}'), coalesce(ta, ARRAY[]::text[]), coalesce(v, '[0,0,0]'), coalesce(iv, '1 day'), coalesce(tz, 'epoch'), coalesce(by, '\x00'), coalesce(bt, B'0000') FROM things WHERE id = 3;

SELECT greatest(d, '2024-01-01'), nullif(d, '2024-02-29'), CASE WHEN id = 1 THEN '2024-01-01' ELSE d END FROM things WHERE id = 1;

SELECT d = '2024-02-29', d IN ('2024-02-29', '2024-01-01'), d BETWEEN '2024-01-01' AND '2024-12-31', u = '11111111-1111-1111-1111-111111111111', u IN ('11111111-1111-1111-1111-111111111111'), n = '12.345', ts > '2024-01-01', iv < '1 year', by = '\x0102', b = 't', jb = '{"a": 1}', ia = '{1,2,3}', v = '[1,2,3]', bt = '1010', c = 'ab', id = ANY('{1,2}'), t = ANY('{a,b}'), d = ANY('{2024-02-29}'), u = ANY(ARRAY['11111111-1111-1111-1111-111111111111']::uuid[]) FROM things WHERE id = 1;

SELECT id FROM things WHERE iv BETWEEN '0' AND '1 day' ORDER BY id;

SELECT id FROM things WHERE iv IN ('24 hours', '36:00:00', '1 day 12:00') ORDER BY id;

SELECT max(iv), min(iv), greatest('1 day'::interval, '36 hours'), least('1 mon'::interval, '31 days') FROM things;

SELECT id FROM things ORDER BY greatest(id, i4) NULLS FIRST, id;

SELECT a.id FROM things a JOIN LATERAL (SELECT a.id AS x) l ON true WHERE l.x = 1;

SELECT generate_series(1, 2), generate_series(1, 3);

SELECT id, unnest(ia), unnest(ta) FROM things WHERE id = 1;

SELECT i4, count(*) AS n FROM things GROUP BY i4 HAVING count(*) > 1 ORDER BY n DESC, i4 LIMIT 1;

SELECT t FROM things ORDER BY lower(t), id LIMIT 3;

SELECT DISTINCT b FROM things ORDER BY b NULLS FIRST;

SELECT count(DISTINCT (b, i2)) FROM things;

SELECT count(*) FILTER (WHERE i4 IN (SELECT i4 FROM others)) FROM things;

SELECT sum(CASE WHEN b THEN 1 ELSE 0 END), avg(CASE WHEN b THEN 1.0 ELSE 0 END), sum(b::int) FROM things;

SELECT a.id, b.id FROM things a LEFT JOIN others b ON a.id = b.id AND b.i4 > 5 WHERE b.id IS NULL ORDER BY 1;

SELECT a.id, (SELECT o.t FROM others o WHERE o.i4 = a.i4 ORDER BY o.id LIMIT 1) FROM things a ORDER BY 1;

SELECT a.id, (SELECT count(*) FROM others o WHERE o.i4 = a.i4), (SELECT sum(o.i4) FROM others o WHERE o.i4 = a.i4) FROM things a ORDER BY 1;

SELECT a.id FROM things a WHERE (SELECT count(*) FROM others o WHERE o.i4 = a.i4) = 0 ORDER BY 1;

SELECT a.id FROM things a WHERE a.i4 = (SELECT max(o.i4) FROM others o WHERE o.b = a.b) ORDER BY 1;

SELECT a.id FROM things a WHERE EXISTS (SELECT 1 FROM others o WHERE o.i4 = a.i4 AND o.id <> a.id) ORDER BY 1;

SELECT a.id FROM things a WHERE NOT EXISTS (SELECT 1 FROM others o WHERE o.i4 = a.i4 OR o.id = a.id) ORDER BY 1;

UPDATE things SET i4 = (SELECT count(*) FROM others o WHERE o.id = things.id) RETURNING id, i4;
UPDATE things a SET t = o.t FROM others o LEFT JOIN parents p ON p.id = o.id WHERE o.id = a.id RETURNING a.id, a.t;
DELETE FROM things WHERE id IN (SELECT id FROM others) RETURNING id;
INSERT INTO things (id, t) VALUES (50, 'x') RETURNING *;
INSERT INTO things (id, c, vc) VALUES (51, 'ab   ', 'abc') RETURNING c, vc, c || vc;
INSERT INTO things (id, f4, f8) VALUES (52, -0.0, -0.0) RETURNING f4, f8;
INSERT INTO things (id, d) VALUES (53, now()), (54, '2024-01-01 10:00') RETURNING d IS NOT NULL;
INSERT INTO things (id, ts) VALUES (55, '2024-01-01Z'), (56, '2024-01-01 10:00+02') RETURNING ts;
INSERT INTO things (id, i4) VALUES (57, '5'), (58, 5.5), (59, true);
INSERT INTO things (id, b) VALUES (60, 1);
INSERT INTO things (id, t) VALUES (61, 5), (62, 1.5) RETURNING t;
INSERT INTO things (id, n) VALUES (63, 1e3), (64, '1e3'), (65, 123456789012) RETURNING n;
INSERT INTO things (id, n) VALUES (66, 12345678901.5);
INSERT INTO things (id, vc) VALUES (67, 'more than ten');
INSERT INTO things (id, vc) VALUES (68, 'ten       and spaces');
INSERT INTO things (id, bt) VALUES (69, B'10');
INSERT INTO things (id, v) VALUES (70, '[1,2]');
INSERT INTO things (id, v) VALUES (71, ARRAY[1,2,3]) RETURNING v;
INSERT INTO things (id, j) VALUES (72, '{bad');
INSERT INTO things (id, jb) VALUES (73, '{"b":1,"a":[1.0, 1e2]}') RETURNING jb;
INSERT INTO things (id, iv) VALUES (74, '1 year 25 hours'), (75, 'P1D') RETURNING iv;
INSERT INTO things (id, tm) VALUES (76, '25:00');
INSERT INTO things (id, u) VALUES (77, 'x');
INSERT INTO things (id, ta) VALUES (78, '{a,"b c",NULL}') RETURNING ta;
INSERT INTO things (id, ia) VALUES (79, '{1,2}'), (80, ARRAY[1,2]::int8[]) RETURNING ia;
INSERT INTO things (id) VALUES (81), (81);
INSERT INTO things (id) VALUES (1);
INSERT INTO things VALUES (82) RETURNING id, t;
INSERT INTO things (id, i2) VALUES (83, 32768);
INSERT INTO things (id, f4) VALUES (84, 1e39);
INSERT INTO things (id, by) VALUES (85, 'abc'), (86, '\xgg');
INSERT INTO things (id, i8) SELECT 90 + n, n FROM generate_series(1, 3) n RETURNING id, i8;
INSERT INTO things (id, t) SELECT 100 + row_number() OVER (ORDER BY id), t FROM things WHERE id < 3 ON CONFLICT (id) DO NOTHING RETURNING id;

SELECT count(*), pg_typeof(count(*)), pg_typeof(sum(i4)), pg_typeof(sum(i8)), pg_typeof(avg(i4)), pg_typeof(avg(f8)), pg_typeof(sum(f4)), pg_typeof(sum(n)), pg_typeof(max(d)), pg_typeof(round(n)), pg_typeof(i4 / 2), pg_typeof(i4 / 2.0), pg_typeof(i4 * i8), pg_typeof(extract(year from max(d))) FROM things GROUP BY n, i4, i8;

SET intervalstyle = 'iso_8601';

SET datestyle = 'ISO, DMY';

SET timezone TO 'UTC';

SET LOCAL lock_timeout = 0;

SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED;

SET extra_float_digits = 3;

SET bytea_output = 'hex';

SET search_path = differential, public;

SHOW nope;

SET nope = 1;

SET statement_timeout = 5000;

SHOW statement_timeout;

SHOW transaction_isolation;

SHOW ALL;

SHOW server_version;

SHOW datestyle;

SHOW intervalstyle;

SHOW search_path;

SHOW client_encoding;

SHOW server_encoding;

SHOW standard_conforming_strings;

SHOW max_connections;

SHOW default_transaction_isolation;

SHOW is_superuser;

SHOW session_authorization;

SHOW integer_datetimes;

SHOW timezone;

SHOW lc_collate;

SHOW work_mem;

EXECUTE nope(5);

CLOSE nope;

RELEASE nope;

COMMIT;

ROLLBACK;

SAVEPOINT x;

PREPARE q(int) AS SELECT $1 + 1;
EXECUTE q(5);
EXECUTE q('x');
EXECUTE q(1, 2);
PREPARE q AS SELECT 1;
DEALLOCATE q;
DEALLOCATE q;
DECLARE cu CURSOR FOR SELECT id FROM parents ORDER BY id;
FETCH 2 FROM cu;
FETCH ALL cu;
FETCH BACKWARD 1 FROM cu;
CLOSE cu;
CLOSE cu;

ALTER TABLE parents ADD COLUMN e timestamptz DEFAULT now(), ADD COLUMN f bool NOT NULL DEFAULT false;
SELECT e IS NOT NULL, f FROM parents ORDER BY id;
ALTER TABLE parents ADD COLUMN g int NOT NULL;
ALTER TABLE parents ADD CONSTRAINT c1 CHECK (rank > 1);
ALTER TABLE parents ADD CONSTRAINT c2 CHECK (rank > 0) NOT VALID;
ALTER TABLE parents ADD CONSTRAINT c3 UNIQUE (rank);
ALTER TABLE parents ALTER COLUMN note TYPE text;
ALTER TABLE parents ALTER COLUMN rank TYPE text USING rank::text || 'x';
SELECT rank FROM parents ORDER BY id;
ALTER TABLE parents ALTER COLUMN name DROP NOT NULL;
ALTER TABLE parents DROP CONSTRAINT nope;
ALTER TABLE parents DROP COLUMN id;
ALTER TABLE parents RENAME TO elders;
SELECT count(*) FROM elders;
ALTER TABLE nope ADD COLUMN x int;
ALTER TABLE IF EXISTS nope ADD COLUMN x int;
CREATE INDEX CONCURRENTLY elders_rank ON elders (rank);
CREATE INDEX elders_rank2 ON elders (rank DESC NULLS LAST) INCLUDE (name);
CREATE INDEX elders_rank3 ON elders (nope);
CREATE INDEX elders_rank4 ON elders USING nope (rank);
CREATE UNIQUE INDEX elders_name ON elders (name text_pattern_ops);
CREATE VIEW v1 AS SELECT id, name FROM elders WHERE id > 1;
SELECT * FROM v1 ORDER BY id;
CREATE OR REPLACE VIEW v1 AS SELECT id, name, 1 AS one FROM elders;
SELECT * FROM v1 ORDER BY id LIMIT 1;
CREATE MATERIALIZED VIEW m1 AS SELECT count(*) AS n FROM elders;
REFRESH MATERIALIZED VIEW m1;
SELECT * FROM m1;
DROP VIEW v1;
DROP TABLE elders;
CREATE TEMP TABLE tt ON COMMIT DROP AS SELECT 1 AS a;
SELECT * FROM tt;
CREATE TABLE part (a int) PARTITION BY RANGE (a);
CREATE TABLE inh () INHERITS (things);
CREATE TABLE tab (a serial, b bigserial, c smallserial, d int GENERATED BY DEFAULT AS IDENTITY, e timestamp(3), f numeric, g decimal(4), h real, i double precision, k varchar, l character varying(3), m json DEFAULT '{}', n text[] DEFAULT ARRAY['x'], o uuid DEFAULT gen_random_uuid(), p timestamptz DEFAULT now() NOT NULL, q interval DEFAULT '1 day', r bytea DEFAULT '\x01', s date DEFAULT current_date, t int CHECK (t > 0) DEFAULT 1, u bool DEFAULT NULL);
INSERT INTO tab DEFAULT VALUES RETURNING a, b, c, d, m, n, o IS NOT NULL, p IS NOT NULL, q, r, s IS NOT NULL, t, u;
CREATE TABLE tab2 (a int, b int, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES things (id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE tab3 (a int COLLATE "C");
CREATE TABLE tab4 (a text COLLATE "C", b text COLLATE "default", EXCLUDE USING gist (a WITH =));
CREATE FUNCTION f1(a int) RETURNS int LANGUAGE sql AS 'SELECT a + 1';
SELECT f1(1), f1(a => 2);
CREATE FUNCTION f2() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
DROP FUNCTION f1(int);
DROP FUNCTION f1;
CREATE DOMAIN dom AS int CHECK (VALUE > 0);
CREATE TRIGGER tr BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION f2();

-- subqueries, arrays, char, order of json, unions, groups
SELECT id FROM parents WHERE rank >= ALL (SELECT rank FROM parents) ORDER BY id;

SELECT id FROM parents WHERE rank > ANY (SELECT rank FROM parents) ORDER BY id;

SELECT id FROM parents p WHERE rank >= ALL (SELECT q.rank FROM parents q) ORDER BY id;

SELECT name FROM parents p WHERE rank = (SELECT max(rank) FROM parents) ORDER BY name;

SELECT id FROM things a WHERE EXISTS (SELECT 1 FROM others s WHERE s.i4 = 10);

SELECT a.id, (SELECT count(*) FROM others o WHERE o.i4 >= a.i4) FROM things a WHERE EXISTS (SELECT 1 FROM others s WHERE s.i4 = 10);

SELECT a.id, (SELECT count(*) FROM others o WHERE o.i4 = a.i4) FROM things a WHERE EXISTS (SELECT 1 FROM others s WHERE s.i4 = a.i4);

SELECT a.id FROM things a WHERE EXISTS (SELECT 1 FROM others s WHERE s.i4 = 10) AND a.i4 IN (SELECT i4 FROM others) ORDER BY a.id;

SELECT a.id FROM things a WHERE EXISTS (SELECT 1 FROM others s WHERE s.i4 = 10) ORDER BY a.i4 IN (SELECT i4 FROM others), a.id;

SELECT id, EXISTS (SELECT 1 FROM others WHERE i4 = 10) FROM things;

SELECT id FROM things ORDER BY (SELECT count(*) FROM others o WHERE o.i4 = things.i4) DESC, id;

SELECT coalesce(tags, '{}') FROM children ORDER BY id;

SELECT coalesce(made, '2024-01-01') FROM children;

SELECT coalesce(price, 0), coalesce(price, '0'), coalesce(note, 'x'), coalesce(rank, 0), coalesce(rank, '0') FROM children, parents;

SELECT coalesce(made, now()) FROM children WHERE false;

SELECT coalesce(tags, ARRAY[]::text[]), coalesce(tags, '{}'::text[]) FROM children;

SELECT CASE WHEN true THEN '{}' ELSE tags END, nullif(tags, '{}'), CASE WHEN id = 1 THEN made ELSE '2024-01-01' END, CASE WHEN id = 1 THEN '1 day' ELSE interval '1 h' END, nullif(made, '2024-01-01') FROM children;

SELECT i4 = ANY(ARRAY(SELECT i4 FROM others)) FROM things;

SELECT * FROM parents WHERE id = ANY(ARRAY(SELECT parent FROM children)) ORDER BY id;

SELECT ARRAY(SELECT name FROM parents ORDER BY id), ARRAY(SELECT made FROM children), ARRAY(SELECT price FROM children ORDER BY id), ARRAY(SELECT u FROM things WHERE id = 1), ARRAY(SELECT jb FROM things WHERE id = 1), ARRAY(SELECT v FROM things WHERE id = 1), ARRAY(SELECT b FROM things WHERE id = 1), ARRAY(SELECT 1), ARRAY(SELECT unnest(ARRAY[1,2]));

SELECT array_agg(v) FROM things WHERE id < 3;

SELECT array_agg(vc), array_agg(c), array_agg(u), array_agg(jb), array_agg(j), array_agg(by), array_agg(iv), array_agg(f4), array_agg(i2), array_agg(tm), array_agg(bt), array_agg(h), array_agg(n) FROM things WHERE id = 1;

SELECT DISTINCT c FROM things ORDER BY c;

SELECT c || '|', length(c), c = 'ab', 'ab' = c, c = 'ab '::text, c < 'b', c IN ('ab'), lower(c), upper(c) || '|', concat(c, '|'), c::text || '|', c::varchar || '|', octet_length(c), char_length(c), substring(c, 1, 3) || '|', position('b' in c), c ~ 'b$', to_json(c), md5(c), reverse(c), trim(c), format('%s|', c), c LIKE 'ab%', array_agg(c) FROM things WHERE id = 1 GROUP BY c;

SELECT 'ab'::char(4) || '|', 'ab '::char(4) = 'ab', 'ab'::char(4) IN ('ab  '), ('ab'::char(4))::text || '|', 'abc'::char, 'abcd'::char(2) = 'ab';

SELECT f8 FROM things WHERE f8 = 'NaN';

SELECT id FROM things WHERE f4 = 'NaN' OR f8 = 'Infinity';

SELECT max(f4), min(f4), sum(f8), avg(f4) FROM things;

SELECT f4, count(*) FROM things GROUP BY f4;

SELECT sum(f8) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), avg(f8) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), sum(i4) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), sum(i8) OVER (ORDER BY id), avg(n) OVER (ORDER BY id ROWS 2 PRECEDING) FROM things;

SELECT sum(x) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), avg(x) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES (1, 1e17::float8), (2, 1), (3, 2), (4, 3)) v(id, x);

SELECT count(*), i4 FROM things GROUP BY i4 ORDER BY i4 DESC LIMIT 2;

SELECT i8 # i8, i4 # i4, (i4 # i4) IS NULL, coalesce(i4 & 0, -5), coalesce(i4 * 0, -5), coalesce(i4 % 1, -5), b AND false, coalesce(b OR true, false) FROM things WHERE id = 3;

SELECT jb < '[1]'::jsonb, jb > '1'::jsonb, jb = '{"a":1}', jb <> 'null' FROM things ORDER BY id;

SELECT id FROM things WHERE jb BETWEEN '0' AND '100' ORDER BY id;

SELECT id FROM things ORDER BY jb->'a', id;

SELECT '1'::jsonb < '10'::jsonb, '2'::jsonb < '10'::jsonb, '"a"'::jsonb < '"b"'::jsonb, '{"a":2}'::jsonb < '{"a":10}'::jsonb, '[]'::jsonb < '1'::jsonb, '[1,2]'::jsonb > '[3]'::jsonb, '1.0'::jsonb = '1'::jsonb, '{"a":1.0}'::jsonb = '{"a":1}'::jsonb;

SELECT count(DISTINCT x) FROM (VALUES ('1.0'::jsonb), ('1')) v(x);

SELECT DISTINCT x FROM (VALUES ('1'::jsonb), ('1.00')) v(x);

SELECT ARRAY[1,NULL] < ARRAY[1,2], ARRAY[1,2] < ARRAY[1,NULL], ARRAY[NULL] = ARRAY[NULL]::text[], ARRAY[1,2] = ARRAY[1,2,3], ARRAY[1,2,3] > ARRAY[1,2], ARRAY[1.0] = ARRAY[1.00], greatest(ARRAY[1], ARRAY[1,0]);

SELECT 1 UNION SELECT 2.5 UNION SELECT NULL;

SELECT id FROM parents UNION ALL SELECT NULL ORDER BY 1;

SELECT '1' UNION SELECT 1;

SELECT 'a' AS x UNION SELECT name FROM parents;

SELECT '2024-01-01' UNION SELECT d FROM things;

SELECT 1::int2 UNION SELECT 2::int8 UNION SELECT 3;

SELECT 1::int2 UNION SELECT i2 FROM things;

SELECT 'x'::varchar(3) UNION SELECT 'y'::text;

SELECT NULL::date UNION SELECT d FROM things;

SELECT now() UNION SELECT d FROM things WHERE false;

SELECT 1, 'a' UNION ALL SELECT 2, 'b' UNION ALL SELECT 3, NULL ORDER BY 1;

VALUES (1, 'a'), (2.5, NULL);

VALUES ('2024-01-01'::date), ('2024-01-02');

SELECT * FROM (VALUES (1, now()), (2, '2024-01-01')) v(a, b) WHERE a = 2;

SELECT * FROM (VALUES (NULL, 1), (5, NULL)) v(a, b);

SELECT r.id, r.name FROM (SELECT *, row_number() OVER () AS rn FROM parents) r WHERE rn <= 2;

SELECT p.* FROM parents p, children c WHERE p.id = c.parent AND c.price = (SELECT max(price) FROM children c2 WHERE c2.parent = p.id) ORDER BY 1;

SELECT to_char(1.5::float8, '9.9'), to_char(12::int8, '99'), to_char(avg(price), 'FM990.00'), to_char(sum(price)::float, '999.9'), to_char(now(), 'HH24') IS NOT NULL FROM children;

SELECT substring('abc' from 2), substr('abc', 2), left('abc', 1), strpos('abc', 'b'), position('b' in 'abc'), char_length('abc'), character_length('abc'), date_part('year', now()) > 2000, ceil(1.5), ceiling(1.5), pow(2, 3), power(2, 3), ln(1), now() = current_timestamp, current_date = now()::date, localtimestamp IS NOT NULL, overlay('abc' placing 'x' from 1), trim('x'), ltrim('x'), btrim('x'), mod(5, 3), random() < 1, cast(1 as text), 1::text, extract(day from now()) > 0, 'a' || 'b', -1, +1, 1 + 1, not true, null, true, '1'::int, ARRAY[1], row(1) = row(1), 1 = 1, 1 between 0 and 2, 1 in (1), 1 is null, exists(select 1), (select 1), (select 1 as y), case when true then 1 end, coalesce(1), nullif(1, 2), greatest(1), least(1), current_user IS NULL, session_user IS NULL, current_catalog IS NULL, current_schema IS NULL, current_date IS NULL, interval '1 day', date '2024-01-01', 1::float8, 1::numeric(3,1), 'a'::varchar(3), 'a'::char(3), count(*), sum(1), max(1) over (), array_agg(1), bool_and(true), string_agg('a', ','), generate_series(1,1), unnest(array[1]), upper('x')::varchar, (1), (1 + 1)::text, 'x' like 'y', 'x' ~ 'y', 'x' is not distinct from 'y', 1.5, 'str', b'1', timestamp '2024-01-01' at time zone 'UTC', (array[1,2])[1], (array[1,2])[1:1], '{"a":1}'::jsonb->'a', '{"a":1}'::jsonb->>'a', current_setting('work_mem') IS NULL, pg_typeof(1)::text, '[1]'::vector <-> '[2]', 'a' collate "C", 2 ^ 2, |/ 4, @ -1, ~1, 5 % 2, 5 & 1;

SELECT id FROM parents GROUP BY id ORDER BY id;

SELECT p.id, p.name FROM parents p GROUP BY p.id ORDER BY p.id;

SELECT b, count(*) FROM things WHERE id = 100 GROUP BY b;

SELECT count(*) FROM things HAVING count(*) > 100;

SELECT 1 FROM things HAVING true;

SELECT 'x' AS lit, count(*) FROM things GROUP BY lit;

SELECT i4 % 2 AS m, count(*) FROM things GROUP BY m ORDER BY m;

SELECT i4 + 1, count(*) FROM things GROUP BY i4 + 1 ORDER BY 1;

SELECT (i4 + 1) * 2, count(*) FROM things GROUP BY i4 + 1 ORDER BY 1;

SELECT date_trunc('month', d), extract(year from date_trunc('month', d)), count(*) FROM things GROUP BY date_trunc('month', d) ORDER BY 1;

SELECT lower(t) || 'x' FROM things GROUP BY lower(t) ORDER BY lower(t);

SELECT CASE WHEN i4 > 0 THEN 'pos' ELSE 'other' END AS k, count(*) FROM things GROUP BY CASE WHEN i4 > 0 THEN 'pos' ELSE 'other' END ORDER BY k;

SELECT to_char(d, 'YYYY') AS y, count(*) FROM things GROUP BY to_char(d, 'YYYY') HAVING count(*) > 1 ORDER BY y;

SELECT extract(year from d) AS y, sum(i2) FROM things GROUP BY extract(year from d) ORDER BY y NULLS FIRST;

SELECT d, count(*) FILTER (WHERE b) AS yes, count(*) FILTER (WHERE NOT b) AS no FROM things GROUP BY d ORDER BY d;

SELECT jb->>'a' AS k, count(*) FROM things GROUP BY jb->>'a' ORDER BY 1;

SELECT coalesce(t, 'none') AS k FROM things GROUP BY coalesce(t, 'none') ORDER BY 1;

-- order, tests of booleans, USING, subqueries, changes
SELECT DISTINCT ON (id) id, name FROM parents ORDER BY id, id DESC;

SELECT id FROM parents ORDER BY id, id DESC;

SELECT id FROM parents ORDER BY id, name, id;

SELECT row_number() OVER (ORDER BY id, id DESC) FROM parents;

SELECT b IS UNKNOWN AS x, count(*) FROM things GROUP BY x;

WITH w AS (SELECT (b IS UNKNOWN) AS x FROM things) SELECT x, count(*) FROM w GROUP BY x;

SELECT b IS NULL AS x, count(*) FROM things GROUP BY x;

SELECT b IS TRUE AS x, count(*) FROM things GROUP BY 1;

SELECT b IS NOT TRUE AS x, b IS UNKNOWN, b IS NOT UNKNOWN FROM things;

SELECT DISTINCT b IS UNKNOWN FROM things;

SELECT count(*) FROM things WHERE b IS UNKNOWN;

SELECT '1'::json -> 0, '1'::jsonb -> 0, '{"a":1}'::json -> 0, '"x"'::jsonb ->> 0;

SELECT (i4 + 1) + 1 AS y FROM things WHERE id = 1 GROUP BY i4 + 1;

SELECT i4 + 1 AS x, (i4 + 1) * 2 FROM things WHERE id = 1 GROUP BY i4 + 1;

SELECT lower(t), lower(t) || 'x', length(lower(t)) FROM things GROUP BY lower(t) ORDER BY 1;

SELECT i2 * 2, count(*) FROM things WHERE id < 3 GROUP BY i2 * 2 HAVING i2 * 2 > 1 ORDER BY i2 * 2;

SELECT price * 2, count(*) FROM children GROUP BY price * 2 ORDER BY 1;

SELECT (price * 2) + 1, count(*) FROM children GROUP BY price * 2 ORDER BY 1;

SELECT -(i4 + 1), count(*) FROM things WHERE id = 1 GROUP BY i4 + 1;

SELECT * FROM children c JOIN parents p ON p.id = c.parent ORDER BY c.id;

SELECT * FROM children NATURAL JOIN (SELECT 1 AS parent, 'x' AS y) z ORDER BY id;

SELECT id, c.price FROM children c LEFT JOIN (SELECT 2 AS id, 3 AS q) z USING (id) ORDER BY id;

SELECT * FROM (SELECT 1 AS id, 'l' AS l) a LEFT JOIN (SELECT 2 AS id, 'r' AS r) b USING (id);

SELECT * FROM (SELECT 1 AS x, 1 AS id, 'l' AS l) a JOIN (SELECT 1 AS id, 'r' AS r) b USING (id);

SELECT sum(f) OVER (ORDER BY id ROWS 1 PRECEDING) FROM (VALUES (1, 0.1::float8), (2, 0.2), (3, 0.3), (4, 0.4)) v(id, f);

SELECT avg(f) OVER (ORDER BY id ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) FROM (VALUES (1, 0.1::float8), (2, 0.2), (3, 0.3), (4, 0.4)) v(id, f);

SELECT count(*) FROM parents p JOIN children c ON p.id = c.parent WHERE (p.name, c.price) IN (('one', 1.00), ('two', 3.00));

SELECT name FROM parents WHERE (id, name) IN (SELECT c.parent, 'one' FROM children c);

SELECT name FROM parents WHERE (id, name) = ANY (SELECT c.parent, 'one' FROM children c);

SELECT name FROM parents WHERE (id, name) NOT IN (SELECT c.parent, 'one' FROM children c WHERE parent IS NOT NULL);

SELECT name FROM parents WHERE ROW(id, name) = ROW(1, 'one');

SELECT name FROM parents WHERE name = ANY ('{one,two}') ORDER BY 1;

SELECT name FROM parents WHERE name LIKE ANY (ARRAY['o%', 't%']) ORDER BY 1;

SELECT name FROM parents WHERE name ILIKE ANY (ARRAY['O%']) ORDER BY 1;

SELECT name FROM parents WHERE name ~ ANY (ARRAY['^o']) ORDER BY 1;

SELECT name FROM parents WHERE NOT (name = ANY (ARRAY['one'])) ORDER BY 1;

SELECT name FROM parents WHERE name <> ALL ('{one,two}') ORDER BY 1;

SELECT name, rank, sum(rank) OVER (ORDER BY name) FROM parents ORDER BY 3;

SELECT name FROM parents ORDER BY name COLLATE "C" DESC;

SELECT name FROM parents WHERE lower(name) COLLATE "C" = 'one';

SELECT p.name FROM parents p ORDER BY (SELECT count(*) FROM children c WHERE c.parent = p.id) DESC, p.name;

SELECT p.name, (SELECT count(*) FROM children c WHERE c.parent = p.id) AS n FROM parents p ORDER BY n DESC, p.name;

SELECT p.name, (SELECT count(*) FROM children c WHERE c.parent = p.id) AS n FROM parents p ORDER BY 2 DESC, 1;

SELECT p.name FROM parents p WHERE (SELECT count(*) FROM children c WHERE c.parent = p.id) > 1;

SELECT p.name FROM parents p GROUP BY p.name HAVING count(*) = (SELECT 1);

SELECT (SELECT sum(price) FROM children c WHERE c.parent = p.id) * 2 FROM parents p ORDER BY p.id;

SELECT sum((SELECT count(*) FROM children c WHERE c.parent = p.id)) FROM parents p;

SELECT p.id FROM parents p WHERE EXISTS (SELECT 1 FROM children c WHERE c.parent = p.id) AND EXISTS (SELECT 1 FROM children) ORDER BY 1;

SELECT p.id, EXISTS (SELECT 1 FROM children c WHERE c.parent = p.id AND c.price > 2), (SELECT max(price) FROM children c WHERE c.parent >= p.id) FROM parents p ORDER BY 1;

SELECT p.id FROM parents p WHERE EXISTS (SELECT 1 FROM children c WHERE c.parent > p.id) AND (SELECT count(*) FROM children c WHERE c.parent >= p.id) > 0 ORDER BY 1;

SELECT p.id FROM parents p WHERE NOT EXISTS (SELECT 1 FROM children) ORDER BY 1;

SELECT p.id, (SELECT c.price FROM children c WHERE c.parent = p.id ORDER BY price DESC LIMIT 1), (SELECT count(*) FROM children) FROM parents p WHERE EXISTS (SELECT 1 FROM children) ORDER BY 1;

UPDATE parents SET note = 'x' WHERE id = 1 RETURNING id, (SELECT count(*) FROM children);
DELETE FROM children WHERE id = 1 RETURNING id, (SELECT name FROM parents p WHERE p.id = children.parent);
INSERT INTO parents (name) VALUES ('r') RETURNING name, (SELECT 1);
INSERT INTO parents (name, rank) VALUES ('s', (SELECT max(rank) + 1 FROM parents)) RETURNING rank;
UPDATE parents SET rank = CASE id WHEN 1 THEN 11 WHEN 2 THEN 12 ELSE rank END RETURNING id, rank;
UPDATE parents AS p SET rank = v.r FROM (VALUES (1, 21), (2, 22)) AS v(id, r) WHERE p.id = v.id RETURNING p.id, p.rank;
UPDATE parents AS p SET rank = v.r FROM unnest(ARRAY[1,2], ARRAY[31,32]) AS v(id, r) WHERE p.id = v.id RETURNING p.id, p.rank;
INSERT INTO parents (name, rank) SELECT * FROM unnest(ARRAY['u1','u2'], ARRAY[5,6]) RETURNING name, rank;
INSERT INTO children (parent, price, made) VALUES (1, 5, '2024-01-01'), (2, 6, now()) RETURNING parent, made IS NOT NULL;
INSERT INTO children (parent, price, made) VALUES (1, 15, DEFAULT), (2, 16, NULL) RETURNING made;
INSERT INTO children (parent, price, tags) VALUES (1, 25, '{"a","b"}'), (2, 26, ARRAY['c']), (3, 27, string_to_array('x,y', ',')) RETURNING tags;

-- parameters: only described
SELECT $1;

SELECT $1::int;

SELECT $1 + 1;

SELECT $1 || 'x';

SELECT id FROM parents WHERE id = $1;

SELECT id FROM parents WHERE name = $1 AND rank > $2;

SELECT id FROM parents WHERE name LIKE $1;

SELECT id FROM parents WHERE id = ANY($1);

SELECT id FROM parents WHERE id IN ($1, $2);

SELECT id FROM parents WHERE name ILIKE '%' || $1 || '%';

SELECT id FROM parents LIMIT $1 OFFSET $2;

SELECT id FROM children WHERE made > $1 AND made < now() - $2::interval;

SELECT id FROM children WHERE made > now() - $1;

SELECT id FROM children WHERE price BETWEEN $1 AND $2;

SELECT id FROM children WHERE tags @> $1;

SELECT id FROM children WHERE $1 = ANY(tags);

SELECT id FROM things ORDER BY v <-> $1 LIMIT $2;

SELECT id, v <=> $1 FROM things;

SELECT id, 1 - (v <=> $1::vector) AS s FROM things;

SELECT id FROM things WHERE jb @> $1;

SELECT id FROM things WHERE jb->>$1 = $2;

SELECT id FROM things WHERE jb->'a' = $1;

SELECT id FROM things WHERE d = $1 AND ts < $2 AND tz > $3 AND tm = $4 AND iv > $5;

SELECT id FROM things WHERE u = $1 OR by = $2 OR b = $3;

SELECT id FROM things WHERE i2 = $1 AND i8 = $2 AND f4 > $3 AND f8 > $4 AND n = $5;

SELECT id FROM things WHERE vc = $1 AND c = $2 AND t = $3;

SELECT coalesce($1, 5);

SELECT coalesce(name, $1) FROM parents;

SELECT coalesce($1, rank) FROM parents;

SELECT CASE WHEN $1 THEN 'a' ELSE $2 END;

SELECT CASE WHEN rank > $1 THEN $2 ELSE name END FROM parents;

SELECT nullif($1, name) FROM parents;

SELECT upper($1), length($2), substr($3, $4), round($5, 2), date_trunc('day', $6::timestamptz), to_char($7::date, $8), extract(year from $9::date);

SELECT date_trunc($1, made) FROM children;

SELECT generate_series(1, $1);

SELECT * FROM generate_series($1::int, $2::int);

SELECT unnest($1::text[]);

SELECT * FROM unnest($1::int[], $2::text[]);

SELECT ARRAY[$1, $2];

SELECT ARRAY[$1, 1];

SELECT greatest($1, rank) FROM parents;

SELECT $1 IS NULL;

SELECT $1::text IS NULL OR name = $1 FROM parents;

SELECT id FROM parents WHERE ($1::int IS NULL OR rank = $1);

SELECT $1 = $2;

SELECT rank + $1, rank * $2, rank / $3, rank::numeric * $4 FROM parents;

SELECT price * $1, price + $2 FROM children;

SELECT made + $1, made - $2 FROM children;

SELECT d + $1, d - $2 FROM things;

SELECT concat($1, $2::text), format('%s', $3), concat_ws($4, 'a');

SELECT json_build_object('a', $1::int), jsonb_build_object($2::text, $3::text), to_jsonb($4::text), jsonb_set(jb, $5, $6) FROM things;

SELECT count(*) FILTER (WHERE rank > $1) FROM parents;

SELECT name FROM parents GROUP BY name HAVING count(*) > $1;

SELECT (SELECT max(rank) FROM parents WHERE id = $1);

SELECT id FROM parents WHERE id IN (SELECT parent FROM children WHERE price > $1);

SELECT id FROM parents WHERE (name, id) > ($1, $2) ORDER BY name, id;

SELECT id FROM parents WHERE (name, id) IN (($1, $2));

SELECT $1 UNION SELECT name FROM parents;

SELECT id FROM parents UNION ALL SELECT $1;

VALUES ($1, $2);

VALUES ($1::int, $2), (1, 'x');

SELECT * FROM (VALUES ($1, 1)) v(a, b);

WITH w AS (SELECT $1::int AS x) SELECT x + $2 FROM w;

INSERT INTO parents (name, rank, note) VALUES ($1, $2, $3);

INSERT INTO parents (name, rank, note) VALUES ($1, $2, $3) RETURNING id, name;

INSERT INTO parents (name) SELECT $1;

INSERT INTO parents (name, rank) SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM parents WHERE name = $1);

INSERT INTO parents (name, rank) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET rank = parents.rank + $3;

INSERT INTO things (id, b, i2, i8, f4, f8, n, t, vc, c, by, d, tm, ts, tz, iv, u, j, jb, ia, ta, v, h, bt, sv) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$25);

INSERT INTO children (parent, price, made, tags) SELECT * FROM unnest($1::int[], $2::numeric[], $3::timestamptz[], $4::text[]);

UPDATE parents SET name = $1, rank = rank + $2 WHERE id = $3;

UPDATE parents SET note = CASE id WHEN 1 THEN $1 ELSE $2 END WHERE id = ANY($3);

UPDATE parents SET note = coalesce($1, note) WHERE id = $2 RETURNING *;

UPDATE things SET jb = jb || $1, ta = array_append(ta, $2), ts = $3 WHERE id = $4;

UPDATE parents p SET rank = v.r FROM (VALUES ($1::int, $2::int)) v(id, r) WHERE v.id = p.id;

DELETE FROM parents WHERE id = $1 OR name = $2;

MERGE INTO parents p USING (SELECT $1::text AS name, $2::int AS rank) s ON p.name = s.name WHEN MATCHED THEN UPDATE SET rank = s.rank WHEN NOT MATCHED THEN INSERT (name, rank) VALUES (s.name, s.rank);

SELECT pg_typeof($1::numeric(5,2)), $2::varchar(5), $3::timestamp, $4::jsonb, $5::uuid, $6::bytea, $7::vector(3), $8::bit(4), $9::date[];

SELECT $1::regclass::oid;

SELECT nextval($1);

SELECT set_config($1, $2, false);

SELECT pg_advisory_lock($1);

SELECT current_setting($1);

SELECT id FROM things WHERE t ~ $1 AND t SIMILAR TO $2;

SELECT id FROM parents ORDER BY id LIMIT $1::int;

SELECT id FROM parents WHERE lower(name) = lower($1);

SELECT id FROM parents WHERE name = $1::varchar;

SELECT $2, $1::int;

SELECT sum(rank) OVER (ORDER BY id ROWS BETWEEN $1 PRECEDING AND CURRENT ROW) FROM parents;

SELECT lag(rank, $1, $2) OVER (ORDER BY id) FROM parents;

SELECT string_agg(name, $1) FROM parents;

SELECT position($1 in name), strpos(name, $2), replace(name, $3, $4), left(name, $5), lpad(name, $6, $7), split_part(name, $8, $9), repeat($10, $11) FROM parents;

SELECT interval '1 day' * $1, $2 * interval '1 hour', now() + interval '1 day' * $3;

SELECT make_interval(days => $1);

SELECT id FROM things WHERE tz::date = $1 AND extract(year from d) = $2;

SELECT id FROM things WHERE ia && $1 OR $2 <@ ia OR ia = $3;

SELECT -$1;

SELECT not $1;

SELECT $1 AND b, b OR $2 FROM things;

SELECT $1 BETWEEN 1 AND 5;

SELECT id FROM parents WHERE id BETWEEN $1 AND $1 + 5;

SELECT id FROM parents WHERE $1 IN (id, rank);

SELECT id FROM parents WHERE name NOT IN ($1, $2);

SELECT id FROM parents WHERE rank = $1::int8;

SELECT id FROM parents WHERE rank = $1::text;

-- types that meet
SELECT coalesce(d, '2024-01-01') FROM things WHERE id = 1;

SELECT coalesce(NULL::date, '2024-01-01');

SELECT coalesce(n, '1') FROM things WHERE id = 1;

SELECT coalesce(jb, '{}') FROM things WHERE id = 3;

SELECT coalesce(b, 'f') FROM things WHERE id = 3;

SELECT coalesce(i4, '1') FROM things WHERE id = 3;

SELECT CASE WHEN b IS NULL THEN 1.5 ELSE f8 END FROM things WHERE id = 1;

SELECT 0.5 UNION SELECT f8 FROM things WHERE id = 1;

SELECT coalesce(f8, 0.5) FROM things WHERE id = 1;

SELECT coalesce(f8, 0) FROM things WHERE id = 1;

SELECT f8 + 0.1, f8 * 1.5, f8 > 0.1, f4 + 0.1 FROM things WHERE id = 7;

SELECT greatest(f8, 0.1) FROM things WHERE id = 7;

SELECT f8 IN (0.1, 0.2), f8 BETWEEN 0.05 AND 0.15, f8 = 0.1, f4 = 0.1 FROM things WHERE id = 7;

SELECT id FROM things WHERE f4 IN (0.1, 1.5);

SELECT avg(x) FROM (VALUES (0.1::float8), (1.5)) v(x);

SELECT now()::date = (SELECT max(x)::date FROM (SELECT now() AS x UNION SELECT d FROM things WHERE false) s);

SELECT CASE WHEN true THEN now() ELSE d END > '2024-01-01' FROM things WHERE id = 1;

SELECT coalesce(tz, d) FROM things WHERE id = 1;

SELECT coalesce(ts, d) FROM things WHERE id = 1;

SELECT d UNION ALL SELECT ts FROM things WHERE id = 1;

SELECT d FROM things WHERE id = 1 UNION ALL SELECT ts FROM things WHERE id = 2;

SELECT d FROM things WHERE id = 1 UNION ALL SELECT tz FROM things WHERE id = 2;

SELECT tz FROM things WHERE id = 1 UNION ALL SELECT d FROM things WHERE id = 2;

SELECT ts FROM things WHERE id = 1 UNION ALL SELECT tz FROM things WHERE id = 2;

SELECT * FROM (VALUES (date '2024-01-01'), (timestamp '2024-01-01 12:00')) v;

SELECT greatest(d, ts) FROM things WHERE id = 2;

SELECT CASE id WHEN 1 THEN d ELSE ts END FROM things WHERE id < 3;

SELECT i2 FROM things WHERE id = 1 UNION ALL SELECT f4 FROM things WHERE id = 1;

SELECT i8 FROM things WHERE id = 1 UNION ALL SELECT f4 FROM things WHERE id = 1;

SELECT n FROM things WHERE id = 1 UNION ALL SELECT f4 FROM things WHERE id = 1;

SELECT vc FROM things WHERE id = 1 UNION ALL SELECT t FROM things WHERE id = 2;

SELECT c FROM things WHERE id = 1 UNION ALL SELECT t FROM things WHERE id = 2;

SELECT i4 = f8, n = f8, i8 = f4, i8 + f4, n * f8, i8 / n FROM things WHERE id = 1;

SELECT 9007199254740993::int8 = 9007199254740992::float8, 9007199254740993 > 9007199254740992.0, 16777217 = 16777216::float4;

SELECT i8 = 9223372036854775807::float8, i8 < 9.3e18, i8 IN (9223372036854775807, 1.5) FROM things WHERE id = 5;

SELECT '5' = 5, '5.0' = 5.0, 5 = '5', id = '1' FROM things WHERE id = 1;

SELECT count(*) FROM things WHERE t = 12345::text;

SELECT count(*) FROM things WHERE t = 12345;

SELECT count(*) FROM things WHERE vc IN (1, 2);

SELECT count(*) FROM things WHERE d > 20240101;

SELECT count(*) FROM things WHERE b = 1;

SELECT count(*) FROM things WHERE b = 'true' AND i4 > '5';

SELECT true > 0;

SELECT id FROM things WHERE id IN ('1', '2');

SELECT id FROM things WHERE d IN ('2024-02-29', 'x');

SELECT (SELECT 'x') = t FROM things WHERE id = 1;

SELECT date '2024-01-01' = '2024-01-01 10:00';

SELECT '10' < '9', 10 < '9', '10'::text < '9';

SELECT interval '1 day' = '24:00', interval '1 day' > '1 hour';

SELECT sum(i4), sum(i8), sum(i2), sum(id) FROM things WHERE id IN (2, 7);

SELECT 3 / 2, -3 / 2, 3 % -2, 3.0 / 2, 1/3.0, 2/3::float8, 1e0/3;

SELECT round(2.5::numeric), round(0.125, 2), round(-1.5), round(1234567.891, -3), trunc(-1.999, 1);

SELECT 1.0::float8, 1e15::float8, 123456789012345678::float8, 0.1::float4::text, 1.1::float8 * 3;

SELECT 100::numeric / 3, 1::numeric / 3 * 3, 10.0 / 3.00, 2.50 * 2.0, 1e-10::numeric, 1000000000000000000000::numeric * 10;

SELECT 12345678901234567890.123456789, 0.000000000000000000001, 1e20, 1e25 + 0.1;

SELECT 123456789012345678901234567890::numeric * 1000000000000;

SELECT * FROM parents JOIN children USING (id);

SELECT parents.*, price FROM parents JOIN children USING (id);

SELECT id FROM things WHERE i4 NOT IN (SELECT s.i4 FROM others s WHERE s.i4 IS NOT NULL) OR id = 100;

SELECT id FROM things WHERE i4 NOT IN (SELECT s.i4 FROM others s WHERE s.i4 IS NOT NULL);

SELECT id, i4 IN (SELECT s.i4 FROM others s) FROM things ORDER BY 1 LIMIT 3;

SELECT id, i4 NOT IN (SELECT s.i4 FROM others s) FROM things ORDER BY 1 LIMIT 4;

SELECT id, CASE WHEN i4 IN (SELECT s.i4 FROM others s) THEN 'y' ELSE 'n' END FROM things ORDER BY 1 LIMIT 3;

SELECT NULL::int IN (SELECT 1), 3 NOT IN (SELECT NULL::int);

SELECT id FROM things WHERE sv = ANY (SELECT o.sv FROM others o);

SELECT id FROM things WHERE sv IN (SELECT o.sv FROM others o);

SELECT id FROM things WHERE v IN (SELECT o.v FROM others o);

SELECT id FROM things WHERE jb IN (SELECT o.jb FROM others o);

SELECT a.id, b.id FROM things a JOIN others b ON a.sv = b.sv ORDER BY 1,2;

SELECT a.id FROM things a WHERE EXISTS (SELECT 1 FROM others o WHERE o.v = a.v);

SELECT a.id FROM things a WHERE a.v <= ALL (SELECT o.v FROM others o WHERE o.v IS NOT NULL);

SELECT id FROM things WHERE jb > '1' ORDER BY id;

SELECT count(*) FROM (SELECT i4 FROM things INTERSECT ALL SELECT i4 FROM others) s;

SELECT i4 FROM things EXCEPT ALL SELECT i4 FROM others;

SELECT id, sum(i4) OVER (ORDER BY u) FROM things WHERE i4 BETWEEN 0 AND 100;

SELECT id, rank() OVER (ORDER BY u), row_number() OVER (ORDER BY u), lag(id) OVER (ORDER BY u) FROM things;

SELECT id, count(*) OVER (PARTITION BY u) FROM things ORDER BY u, id;

SELECT md5('a')::uuid;

SELECT md5(t)::uuid FROM things WHERE id = 1;

SELECT (t || 'x')::uuid FROM things WHERE id = 1;

SELECT 1 UNION SELECT NULL;

SELECT 1 UNION ALL SELECT 'a';

SELECT 'a' UNION SELECT t FROM things WHERE id = 1;

SELECT '2024-01-01' AS d UNION ALL SELECT d FROM things WHERE id = 1;

SELECT d FROM things WHERE id = 1 UNION ALL SELECT '2024-01-01' ORDER BY 1;

SELECT NULL AS x UNION ALL SELECT d FROM things WHERE id = 1;

SELECT i4 # i4, i4 & i4, i4 | i4, i4 - i4, i4 * 0, i4 / i4, i4 % 1 FROM things WHERE id = 3;

SELECT b OR NOT b, b AND NOT b, i4 = i4, i4 <> i4, i4 >= i4 FROM things WHERE id = 3;

SELECT to_char(1.5::float8, '9.9'), to_char(2.5::float4, '99.9');

SELECT to_char(f8, '9.9') FROM things WHERE id = 1;

SELECT to_char(5::int2, '9'), to_char(5::int8, '9'), to_char(avg(i4), '999.9') FROM things WHERE i4 = 10;

SELECT generate_series(date '2024-01-01', date '2024-01-02', '1 day')::date;

SELECT g::date FROM generate_series(timestamp '2024-01-01', '2024-01-02', '1 day') g;

SELECT g FROM generate_series(now() - interval '2 days', now(), '1 day') g;

SELECT CAST(coalesce(c, 'zz') AS text) || '|' FROM things WHERE id = 1;

SELECT id FROM things WHERE c = 'ab';

SELECT id FROM things WHERE c IN ('ab', 'cd');

SELECT id FROM things WHERE c LIKE 'ab';

SELECT id FROM things WHERE c LIKE 'ab%';

SELECT * FROM jsonb_each('{"a":1}');

SELECT key, value FROM things t, jsonb_each_text(t.jb) WHERE t.id = 1;

SELECT * FROM json_to_recordset('[{"a":1}]') AS x(a int);

SELECT 5 FETCH FIRST 1 ROW ONLY;

SELECT date '2024-01-01' + interval '1 day' = '2024-01-02';

SELECT ARRAY(SELECT id FROM parents ORDER BY id);

SELECT id = ANY(ARRAY(SELECT parent FROM children WHERE parent IS NOT NULL)) FROM parents ORDER BY id;

SELECT array_length(ARRAY(SELECT id FROM parents), 1), (ARRAY(SELECT id FROM parents ORDER BY id))[1] + 1;

SELECT array_agg(id) || ARRAY(SELECT 100) FROM parents;

SELECT -1 ^ 2, - 2 ^ 2, -(2 ^ 2), -2::int2, -5 % 3;

SELECT 1 ISNULL;

SELECT i4 ISNULL FROM things LIMIT 1;

SELECT 'a'::char(4) = 'a'::char(2), 'a'::char(4) || '|' , length('a  '::char(4));

-- a key made in the transaction that wrote the rows
CREATE TABLE keyed (a int, b text);
INSERT INTO keyed VALUES (1, 'x'), (2, 'y');
ALTER TABLE keyed ADD PRIMARY KEY (a);
INSERT INTO keyed VALUES (1, 'z');
UPDATE keyed SET a = 1 WHERE a = 2;
CREATE TABLE keyed_child (c int REFERENCES keyed);
INSERT INTO keyed_child VALUES (1);
CREATE UNIQUE INDEX ON keyed (lower(b));
INSERT INTO keyed VALUES (3, 'X');

ALTER TABLE parents ADD UNIQUE (rank);
INSERT INTO parents (name, rank) VALUES ('again', 1);
INSERT INTO parents (name, rank) VALUES ('again', 1) ON CONFLICT (rank) DO UPDATE SET note = 'upd' RETURNING name, note;

-- what dashboards, ORMs and job queues send
SELECT id FROM things WHERE f8 IN (0.1, 2.5) AND f8 < 100;

SELECT id FROM things WHERE f8 < 100 AND f8 IN (0.1, 2.5);

SELECT id FROM (SELECT * FROM things WHERE f8 < 100) s WHERE f8 IN (0.1, 2.5);

SELECT * FROM parents p WHERE p.id = (SELECT c.parent FROM children c ORDER BY c.price DESC NULLS LAST LIMIT 1);

SELECT DISTINCT p.id, p.name FROM parents p JOIN children c ON c.parent = p.id ORDER BY p.name;

SELECT p.*, (SELECT row_to_json(c) FROM children c WHERE c.parent = p.id LIMIT 1) FROM parents p ORDER BY p.id;

SELECT to_jsonb(p.*) FROM parents p ORDER BY id;

SELECT json_agg(p.*) FROM parents p;

SELECT jsonb_agg(p ORDER BY p.id) FROM parents p;

SELECT array_agg(p) FROM parents p;

SELECT array_agg(ROW(id, name)) FROM parents;

SELECT count(p) FROM parents p;

SELECT count(p.*) FROM parents p;

SELECT count(DISTINCT p) FROM parents p;

SELECT p.id FROM parents p WHERE p IS NOT NULL;

SELECT * FROM parents p WHERE p.* IS NOT NULL;

SELECT now() - made > interval '1 day', made::date + 1, age(now(), made) > '1 day', extract(epoch from now() - made) > 0, date_trunc('week', made), made AT TIME ZONE 'UTC', to_char(made, 'YYYY-MM-DD HH24:MI:SS') FROM children ORDER BY id;

SELECT date_trunc('month', made) AS month, sum(price), sum(sum(price)) OVER (ORDER BY date_trunc('month', made)) FROM children GROUP BY 1 ORDER BY 1;

SELECT parent, price, sum(price) OVER (PARTITION BY parent ORDER BY id) AS running, round(100.0 * price / sum(price) OVER (PARTITION BY parent), 2) AS pct FROM children ORDER BY id;

SELECT d.day::date, count(c.id) FROM generate_series('2023-12-31'::timestamp, '2024-01-02'::timestamp, '1 day'::interval) AS d(day) LEFT JOIN children c ON c.made::date = d.day::date GROUP BY d.day ORDER BY d.day;

SELECT d::date AS day, coalesce(n, 0) FROM generate_series(date '2023-12-31', date '2024-01-02', interval '1 day') d LEFT JOIN (SELECT made::date AS m, count(*) AS n FROM children GROUP BY 1) c ON c.m = d::date ORDER BY 1;

SELECT n, n::text || '%' FROM generate_series(0, 100, 50) AS n;

SELECT lower(unnest(string_to_array('A,B', ',')));

SELECT trim(x) FROM unnest(string_to_array('a, b', ',')) AS x;

SELECT x.a, x.b FROM (VALUES (1, 'a'), (2, 'b')) AS x(a, b) JOIN parents p ON p.id = x.a ORDER BY 1;

SELECT * FROM parents WHERE id IN (VALUES (1), (2)) ORDER BY id;

SELECT id FROM parents WHERE id = ANY (VALUES (1), (2)) ORDER BY id;

SELECT coalesce(rank, 0) + 1, nullif(rank, 0), rank::float / 2, rank / 2.0, rank::numeric(10,2), round(rank / 3.0, 2), rank % 2 = 0 FROM parents ORDER BY id;

SELECT name, CASE WHEN rank = 1 THEN 'first' WHEN rank IN (2, 3) THEN 'next' ELSE NULL END FROM parents ORDER BY id;

SELECT left(name, 1) AS initial, array_agg(name ORDER BY name) FROM parents GROUP BY 1 ORDER BY 1;

SELECT string_agg(DISTINCT left(name, 1), '' ORDER BY left(name, 1)) FROM parents;

SELECT min(made), max(made), max(made) - min(made), count(DISTINCT made::date) FROM children;

SELECT percent_rank() OVER (ORDER BY price), ntile(2) OVER (ORDER BY price), cume_dist() OVER (ORDER BY price) FROM children ORDER BY 1;

SELECT first_value(name) OVER w, last_value(name) OVER w FROM parents WINDOW w AS (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING);

SELECT pg_catalog.version() IS NOT NULL, pg_catalog.lower('A'), pg_catalog.now() IS NOT NULL, pg_catalog.count(*) FROM parents;

SELECT 'a' IN ('a', NULL), 'b' IN ('a', NULL), 'b' NOT IN ('a', NULL), NULL NOT IN ('a'), 1 NOT IN (SELECT 2 WHERE false);

SELECT id FROM parents WHERE (name = 'one' AND rank = 1) OR (name = 'two' AND (rank = 2 OR rank IS NULL)) ORDER BY 1;

SELECT id FROM parents WHERE name BETWEEN 'a' AND 'p' ORDER BY name DESC LIMIT 1 OFFSET 0;

SELECT id FROM parents WHERE name > 'one' ORDER BY name LIMIT 2;

SELECT id FROM parents WHERE length(name) > 3 AND name NOT LIKE '%z%' ORDER BY length(name), id;

SELECT 1 FROM parents WHERE id = 1 FOR SHARE;

SELECT p.id FROM parents p LEFT JOIN children c ON c.parent = p.id WHERE c.id IS NULL FOR UPDATE OF p;

SELECT name FROM parents EXCEPT SELECT 'one' ORDER BY name;

(SELECT name FROM parents ORDER BY id LIMIT 1) UNION (SELECT name FROM parents ORDER BY id DESC LIMIT 1) ORDER BY name;

SELECT * FROM (SELECT id, name FROM parents UNION ALL SELECT id, tags[1] FROM children) u WHERE name IS NOT NULL ORDER BY id, name;

WITH RECURSIVE tree AS (SELECT id, name, 1 AS level, ARRAY[id] AS path FROM parents WHERE id = 1 UNION ALL SELECT p.id, p.name, t.level + 1, t.path || p.id FROM parents p JOIN tree t ON p.id = t.id + 1 WHERE NOT p.id = ANY(t.path)) SELECT * FROM tree ORDER BY path;

WITH RECURSIVE tree AS (SELECT id, name::text AS path FROM parents WHERE id = 1 UNION ALL SELECT p.id, tree.path || ' > ' || p.name FROM parents p JOIN tree ON p.id = tree.id + 1) SELECT path FROM tree ORDER BY id;

WITH RECURSIVE dates AS (SELECT date '2024-01-01' AS d UNION ALL SELECT d + 1 FROM dates WHERE d < date '2024-01-03') SELECT d FROM dates;

WITH RECURSIVE dates AS (SELECT timestamp '2024-01-01' AS d UNION ALL SELECT d + interval '1 day' FROM dates WHERE d < '2024-01-03') SELECT d FROM dates;

WITH RECURSIVE s(x) AS (SELECT 1.0 UNION ALL SELECT x / 2 FROM s WHERE x > 0.2) SELECT x FROM s;

WITH RECURSIVE s(x) AS (SELECT 1 UNION ALL SELECT x * 2 FROM s WHERE x < 100) SELECT count(*), max(x) FROM s;

WITH moved AS (DELETE FROM children WHERE price > 5 RETURNING *) SELECT count(*) FROM moved;
WITH up AS (UPDATE parents SET rank = rank + 1 RETURNING id, rank) SELECT sum(rank) FROM up;
WITH new AS (INSERT INTO parents (name) VALUES ('cte') RETURNING id) INSERT INTO children (parent, price) SELECT id, 4 FROM new RETURNING price;
UPDATE children SET price = price + 1 WHERE id = (SELECT id FROM children WHERE parent = 1 ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id, price;
DELETE FROM children WHERE id IN (SELECT id FROM children ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id;
INSERT INTO children (parent, price) SELECT p.id, 7.5 FROM parents p WHERE p.name = 'one' RETURNING id IS NOT NULL, total;
INSERT INTO parents (name, rank) VALUES ('up', 1) ON CONFLICT (name) DO UPDATE SET rank = parents.rank + 1, note = CASE WHEN parents.rank > 5 THEN 'hi' ELSE parents.note END RETURNING (xmax = 0) AS inserted;
INSERT INTO parents (name, rank) VALUES ('up', 1) ON CONFLICT (name) DO UPDATE SET rank = GREATEST(EXCLUDED.rank, parents.rank) RETURNING rank;
INSERT INTO parents (name, rank) VALUES ('up', 1) ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name RETURNING name;
INSERT INTO parents (name) VALUES ('a1'), ('a2') ON CONFLICT (name) DO NOTHING RETURNING name;
INSERT INTO parents (name) SELECT 'x' || g FROM generate_series(1, 3) g RETURNING name;
INSERT INTO things (id, t, jb) SELECT 1000 + g, 'row ' || g, jsonb_build_object('n', g) FROM generate_series(1, 2) g RETURNING id, t, jb;
INSERT INTO things (id, v) SELECT 2000 + g, ARRAY[g, g, g]::vector FROM generate_series(1, 2) g RETURNING v;
INSERT INTO things (id, v) SELECT 3000 + g, ('[' || g || ',0,1]')::vector FROM generate_series(1, 2) g RETURNING v;
UPDATE things SET ta = array_append(ta, 'z'), ia = array_remove(ia, 1), jb = jb - 'a', i4 = i4 + 1, n = n * 1.1 WHERE id = 1 RETURNING ta, ia, jb, i4, n;
UPDATE things SET t = DEFAULT, b = NOT b, d = d + 1, ts = ts + interval '1 hour', iv = iv * 2 WHERE id = 1 RETURNING t, b, d, ts, iv;
UPDATE things SET t = concat(t, '!') WHERE id IN (SELECT id FROM others) RETURNING id, t;
UPDATE things t SET i4 = s.n FROM (SELECT id, row_number() OVER (ORDER BY id DESC) AS n FROM things) s WHERE s.id = t.id RETURNING t.id, t.i4;
DELETE FROM things a USING things b WHERE a.id > b.id AND a.u = b.u RETURNING a.id;
DELETE FROM things WHERE ctid NOT IN (SELECT min(ctid) FROM things GROUP BY u);
TRUNCATE TABLE children RESTART IDENTITY;
INSERT INTO children (price) VALUES (1) RETURNING id;
SELECT coalesce(d, NULL, '2024-01-01') FROM things WHERE id = 1;

SELECT coalesce(ia, '{}', '{}') FROM things WHERE id = 1;

SELECT coalesce(f8, 0.5, 0.5) FROM things WHERE id = 1;

SELECT id FROM things WHERE f4 IN (0.1, 1.5, 2.5);

SELECT id FROM things WHERE f8 IN (0.1, 1.5);

SELECT id FROM things WHERE f8 BETWEEN 0.1 AND 1e200;

SELECT coalesce(f8, 0.5) FROM things WHERE id = 5;

SELECT coalesce(f8, 0.5) FROM things WHERE id = 6;

SELECT sum(coalesce(f8, 0.0)) FROM things;

SELECT coalesce(sum(f8), 0) FROM things;

SELECT coalesce(sum(f8), 0.0) FROM things WHERE id < 3;

SELECT coalesce(avg(n), 0), coalesce(sum(i4), 0), coalesce(max(d)::text, '') FROM things WHERE false;

SELECT rank() OVER (ORDER BY u ROWS UNBOUNDED PRECEDING) FROM things;

SELECT row_number() OVER (ORDER BY tm) FROM things;

SELECT row_number() OVER (ORDER BY id, u) FROM things;

SELECT lag(id) OVER (PARTITION BY b ORDER BY iv) FROM things WHERE id < 3;

SELECT p.id, p.name FROM parents p GROUP BY p.id, p.name ORDER BY p.id;

SELECT * FROM (SELECT DISTINCT ON (parent) * FROM children ORDER BY parent, price DESC) s WHERE parent = 1;

SELECT extract('year' from d), extract(YEAR from d), extract("year" from d), date_part('year', d) FROM things WHERE id = 1;

SELECT 1 FROM parents HAVING count(*) > 0;

SELECT x ISNULL FROM (SELECT NULL::int AS x) s;

SELECT 1 WHERE NULL ISNULL;

SELECT name NOTNULL FROM parents LIMIT 1;

SELECT * FROM generate_series(timestamp '2024-01-01', timestamp '2024-01-02', interval '12 hours');

SELECT * FROM generate_series('2024-01-01'::timestamp, '2024-01-02'::timestamp, '12 hours'::interval) g;

SELECT * FROM generate_series('2024-01-01'::timestamptz, '2024-01-02'::timestamptz, '12 hours'::interval) g;

SELECT generate_series(timestamp '2024-01-01', timestamp '2024-01-02', interval '12 hours');

SELECT * FROM generate_series(date_trunc('day', timestamp '2024-01-01 10:00'), timestamp '2024-01-02', interval '12 hours') g;

SELECT count(*) FROM generate_series(now() - interval '2 days', now(), interval '1 day') g;

SELECT count(*) FROM generate_series(current_date - 2, current_date, interval '1 day') g;

SELECT g FROM generate_series((SELECT min(d) FROM things), (SELECT min(d) FROM things) + 1, interval '1 day') g;

SELECT g FROM generate_series((SELECT min(id) FROM parents), (SELECT max(id) FROM parents)) g;

WITH RECURSIVE t AS (SELECT id, name FROM parents WHERE id = 1 UNION ALL SELECT p.id, p.name FROM parents p JOIN t ON p.id = t.id + 1) SELECT * FROM t;

WITH RECURSIVE t AS (SELECT id, name::text AS n FROM parents WHERE id = 1 UNION ALL SELECT p.id, p.name || t.n FROM parents p JOIN t ON p.id = t.id + 1) SELECT * FROM t;

WITH RECURSIVE t AS (SELECT id, name || '' AS n FROM parents WHERE id = 1 UNION ALL SELECT p.id, p.name || t.n FROM parents p JOIN t ON p.id = t.id + 1) SELECT * FROM t;

WITH RECURSIVE t AS (SELECT id, rank FROM parents WHERE id = 1 UNION ALL SELECT p.id, p.rank + t.rank FROM parents p JOIN t ON p.id = t.id + 1) SELECT * FROM t;

WITH RECURSIVE t AS (SELECT id, 0 AS depth, ARRAY[name] AS path FROM parents WHERE id = 1 UNION ALL SELECT p.id, t.depth + 1, t.path || p.name FROM parents p JOIN t ON p.id = t.id + 1) SELECT * FROM t;

SELECT row_number() OVER () + 1, -row_number() OVER (), row_number() OVER () - 2, row_number() OVER () * 1.5 FROM parents LIMIT 1;

SELECT rn - 5 FROM (SELECT row_number() OVER (ORDER BY id) AS rn FROM parents) s ORDER BY 1 LIMIT 1;

SELECT id - row_number() OVER (ORDER BY id) AS grp FROM parents LIMIT 2;

SELECT min(id), max(id) FROM (SELECT id, id - row_number() OVER (ORDER BY id) AS grp FROM parents) s GROUP BY grp ORDER BY 1;

SELECT array_agg(rn ORDER BY rn) FROM (SELECT row_number() OVER (ORDER BY id) AS rn FROM parents) s;

SELECT coalesce(rn, 0), CASE WHEN rn > 1 THEN rn ELSE -1 END, greatest(rn, 2), rn::text, to_json(rn), jsonb_build_object('n', rn), sum(rn) OVER (), rn / 2.0 FROM (SELECT row_number() OVER (ORDER BY id) AS rn FROM parents) s LIMIT 1;

SELECT rn FROM (SELECT row_number() OVER (ORDER BY id) AS rn FROM parents) s UNION ALL SELECT -1;

SELECT c::text || '|' FROM things WHERE id = 1;

SELECT c::text FROM things WHERE id = 1;

SELECT c::varchar FROM things WHERE id = 1;

SELECT encode('\xff'::bytea, 'base64'), encode('ab'::bytea, 'base64'), encode(repeat('x', 60)::bytea, 'base64');

SELECT decode('/w==', 'base64'), decode('/w', 'base64'), decode(E'YW\nJj', 'base64'), decode('FF ff', 'hex');

SELECT (ARRAY[1,2,3])[-1], (ARRAY[1,2,3])[0], (ARRAY[1,2,3])[-2:-1], (ARRAY[1,2,3])[0:2], (ARRAY[1,2,3])[2:10], (ARRAY[1,2,3])[3:2];

SELECT ia[-1], ia[array_length(ia, 1)] FROM things WHERE id = 1;

SELECT encode(sha256('abc'), 'base64'), encode(by, 'base64') FROM things WHERE id = 4;

SELECT trim_array(ARRAY[1,2,3], 1), array_remove(ARRAY[1,NULL,2], NULL), array_position(ARRAY[1,NULL], NULL), array_to_string(ARRAY[1,NULL,3], ','), array_length('{}'::int[], 1), cardinality('{}'::int[]), array_upper('{}'::int[],1);

SELECT right('abc', -2147483648), left('abc', -5), repeat('a', 0), substr('abc', 0, 2), substr('abc', -5, 3), lpad('abc', -1);

