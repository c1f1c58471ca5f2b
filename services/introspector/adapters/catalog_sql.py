"""The statements that read a PostgreSQL catalog, from version 13 on, whole and as any login role.

All but PULSE run with `search_path = pg_catalog`, so that `format_type` and the `pg_get_*` functions qualify every
name that is not PostgreSQL's own.
"""

import re
from typing import Final

# Managed servers may refuse pg_control_*: a function that may not be executed fails even in a branch never taken,
# so PULSE asks for the right before.
CONTROL: Final = """
SELECT s.system_identifier::text AS system, c.timeline_id::int8 AS timeline
FROM pg_control_system() AS s, pg_control_checkpoint() AS c
"""

# All that a look at an unchanged schema asks. It runs under the role's own search path, which it tells, so every
# function, operator and type in it that is no keyword says that it is PostgreSQL's.
#
# One number pair a catalog: rows counted, and their identities and last writers hashed and summed. VACUUM and ANALYZE
# leave xmin alone. Temporary objects and those of PostgreSQL itself are left out: others make and drop them all day; so
# is what a watch installs.
_PULSE: Final = """
WITH namespace AS MATERIALIZED (
  SELECT oid, xmin FROM pg_catalog.pg_namespace
  WHERE pg_catalog.left(nspname::varchar, 3) <> 'pg_' AND nspname <> 'information_schema' AND nspname <> 'dbify_watch'
),
relation AS MATERIALIZED (
  SELECT c.oid, c.xmin FROM pg_catalog.pg_class AS c JOIN namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind <> 'S'
),
digest (place, number, entry) AS (
  SELECT 1, 0::bigint, r.oid::bigint # r.xmin::varchar::bigint FROM relation AS r
  UNION ALL
  SELECT 2, a.attnum, a.attrelid::bigint # a.xmin::varchar::bigint
  FROM pg_catalog.pg_attribute AS a JOIN relation AS r ON r.oid = a.attrelid WHERE a.attnum > 0
  UNION ALL
  SELECT 3, 0, d.oid::bigint # d.xmin::varchar::bigint
  FROM pg_catalog.pg_attrdef AS d JOIN relation AS r ON r.oid = d.adrelid
  UNION ALL
  SELECT 4, 0, c.oid::bigint # c.xmin::varchar::bigint
  FROM pg_catalog.pg_constraint AS c JOIN namespace AS n ON n.oid = c.connamespace
  UNION ALL
  SELECT 5, 0, i.indexrelid::bigint # i.xmin::varchar::bigint
  FROM pg_catalog.pg_index AS i JOIN relation AS r ON r.oid = i.indrelid
  UNION ALL
  SELECT 6, 0, t.oid::bigint # t.xmin::varchar::bigint
  FROM pg_catalog.pg_type AS t JOIN namespace AS n ON n.oid = t.typnamespace
  WHERE t.typtype <> 'c' AND t.typcategory <> 'A'
  UNION ALL
  SELECT 7, 0, e.oid::bigint # e.xmin::varchar::bigint FROM pg_catalog.pg_enum AS e
  UNION ALL
  SELECT 8, 0, p.oid::bigint # p.xmin::varchar::bigint
  FROM pg_catalog.pg_proc AS p JOIN namespace AS n ON n.oid = p.pronamespace
  UNION ALL
  SELECT 9, 0, n.oid::bigint # n.xmin::varchar::bigint FROM namespace AS n
  UNION ALL
  SELECT 10, d.objsubid, d.objoid::bigint # d.xmin::varchar::bigint
  FROM pg_catalog.pg_description AS d WHERE d.objoid >= 16384::pg_catalog.oid
  UNION ALL
  SELECT 11, 0, t.oid::bigint # t.xmin::varchar::bigint
  FROM pg_catalog.pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
  UNION ALL
  SELECT 12, 0, w.oid::bigint # w.xmin::varchar::bigint
  FROM pg_catalog.pg_rewrite AS w JOIN relation AS r ON r.oid = w.ev_class
  UNION ALL
  SELECT 13, 0, x.oid::bigint # x.xmin::varchar::bigint FROM pg_catalog.pg_extension AS x
  UNION ALL
  SELECT 14, m.member::bigint, m.roleid::bigint # m.xmin::varchar::bigint FROM pg_catalog.pg_auth_members AS m
)
SELECT pg_catalog.current_schemas(false)::pg_catalog.text[] AS search_path,
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
         AND pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'EXECUTE') AS may_read_control,
       d.oid::bigint AS oid,
       d.datname::varchar AS name,
       pg_catalog.current_setting('server_version_num')::integer AS server_version,
       pg_catalog.concat(
         (SELECT pg_catalog.format('%s %s', oid, rolsuper) FROM pg_catalog.pg_roles WHERE rolname = current_user),
         (SELECT pg_catalog.string_agg(pg_catalog.format(' %s:%s.%s', place, count, sum), '' ORDER BY place)
          FROM (SELECT place, pg_catalog.count(*) AS count,
                       pg_catalog.sum(pg_catalog.hashint8(entry # (number << 32))) AS sum
                FROM digest GROUP BY place) AS places)
       ) AS catalogs
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
"""
PULSE: Final = re.sub(r" (<>|>=|<<|=|#|>) ", r" OPERATOR(pg_catalog.\1) ", _PULSE)

# What the role may see: a table where it holds a privilege on the table or on any column, and then its columns, or
# those alone that it holds one on. Partitions are part of their parent; what belongs to an extension is left out.
_COMMON: Final = """
WITH RECURSIVE namespace AS MATERIALIZED (
  SELECT oid, nspname FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'dbify_watch')
    AND has_schema_privilege(oid, 'USAGE')
),
member AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
),
relation AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.reltuples, c.relpages, n.nspname,
         has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE') AS whole
  FROM pg_class AS c JOIN namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND (has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE') OR has_table_privilege(c.oid, 'DELETE'))
    AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
),
attribute AS MATERIALIZED (
  SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attidentity, a.attgenerated
  FROM pg_attribute AS a JOIN relation AS r ON r.oid = a.attrelid
  WHERE a.attnum > 0 AND NOT a.attisdropped
    AND (r.whole OR has_column_privilege(r.oid, a.attnum, 'SELECT, INSERT, UPDATE'))
),
routine AS MATERIALIZED (
  SELECT p.oid, p.proname, p.proargnames, p.proargmodes, p.pronargdefaults, p.proretset, p.provolatile, p.prokind,
         n.nspname, coalesce(p.proallargtypes, p.proargtypes::oid[]) AS types
  FROM pg_proc AS p JOIN namespace AS n ON n.oid = p.pronamespace
  WHERE p.prokind IN ('f', 'p')
    AND p.prolang <> (SELECT oid FROM pg_language WHERE lanname = 'internal')
    AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
    AND 'internal'::regtype <> ALL (p.proargtypes::oid[])
    AND has_function_privilege(p.oid, 'EXECUTE')
    AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
),
-- An array type is its element's typarray: point, name and int2vector have a typelem too, and are none.
used (oid) AS (
  SELECT t.oid FROM (SELECT atttypid AS oid FROM attribute UNION SELECT unnest(types) FROM routine) AS t
  UNION
  SELECT next.oid
  FROM used AS u
  JOIN pg_type AS t ON t.oid = u.oid
  LEFT JOIN pg_type AS e ON e.typarray = t.oid
  CROSS JOIN LATERAL (VALUES (t.typbasetype), (e.oid)) AS next (oid)
  WHERE next.oid <> 0
)
"""

_SCHEMAS: Final = """
SELECT 'schema' AS tag, json_build_array(nspname, oid::int8)::text AS entry FROM namespace
"""

# A table takes every operation by itself; what a view or foreign table takes, its rules, INSTEAD OF triggers or wrapper
# say, which fails where the wrapper has no handler. reltuples is 0 before version 14 where never analysed.
_RELATIONS: Final = """
SELECT 'relation', json_build_array(
         r.oid::int8, r.nspname, r.relname, r.relkind,
         CASE WHEN r.relkind IN ('r', 'p') THEN 28
              WHEN r.relkind = 'v' OR w.fdwhandler <> 0 THEN pg_relation_is_updatable(r.oid, true)
              ELSE 0 END,
         r.relrowsecurity,
         CASE WHEN r.relpages = 0 AND r.reltuples = 0 THEN -1 ELSE r.reltuples::int8 END,
         CASE WHEN r.relkind IN ('v', 'm') THEN coalesce(pg_get_viewdef(r.oid), '') ELSE '' END,
         coalesce(d.description, ''))::text
FROM relation AS r
LEFT JOIN pg_foreign_table AS f ON f.ftrelid = r.oid
LEFT JOIN pg_foreign_server AS s ON s.oid = f.ftserver
LEFT JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
LEFT JOIN pg_description AS d ON d.objoid = r.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0
"""

_COLUMNS: Final = """
SELECT 'columns', json_build_array(a.attrelid::int8, json_agg(json_build_array(
         a.attnum, a.attname, a.atttypid::int8, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
         pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated <> '', coalesce(c.description, '')
       ) ORDER BY a.attnum))::text
FROM attribute AS a
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_description AS c
  ON c.objoid = a.attrelid AND c.classoid = 'pg_class'::regclass AND c.objsubid = a.attnum
GROUP BY a.attrelid
"""

# conparentid: the copies a key has for each partition it refers to. conperiod (18): a key that matches by containment
# of ranges relates no rows by equality; read through JSON, as earlier versions have no such column.
_CONSTRAINTS: Final = """
SELECT 'constraints', json_build_array(c.conrelid::int8, json_agg(json_build_array(
         c.conname, c.contype, c.conkey, c.confrelid::int8, c.confkey,
         CASE WHEN c.contype = 'c' THEN pg_get_expr(c.conbin, c.conrelid) END, c.confupdtype, c.confdeltype
       ) ORDER BY c.conname))::text
FROM pg_constraint AS c JOIN relation AS r ON r.oid = c.conrelid
WHERE c.contype IN ('p', 'f', 'c') AND c.conparentid = 0
  AND NOT (c.contype = 'f' AND coalesce((to_json(c) ->> 'conperiod')::bool, false))
GROUP BY c.conrelid
"""

_INDEXES: Final = """
SELECT 'indexes', json_build_array(i.indrelid::int8, json_agg(json_build_array(
         c.relname, (i.indkey::int2[])[0:i.indnkeyatts - 1], i.indisunique,
         i.indisunique AND NOT i.indisprimary AND NOT i.indisexclusion AND i.indimmediate
           AND i.indpred IS NULL AND i.indexprs IS NULL,
         pg_get_indexdef(i.indexrelid)
       ) ORDER BY c.relname))::text
FROM pg_index AS i
JOIN relation AS r ON r.oid = i.indrelid
JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indisvalid
GROUP BY i.indrelid
"""

_TYPES: Final = """
SELECT 'type', json_build_array(
         t.oid::int8, t.typtype, t.typname, coalesce(e.oid, 0)::int8, t.typbasetype::int8,
         CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE '' END,
         t.typnotnull,
         CASE WHEN t.typtype = 'd' THEN pg_get_expr(t.typdefaultbin, 0) END,
         (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum AS l WHERE l.enumtypid = t.oid))::text
FROM used AS u
JOIN pg_type AS t ON t.oid = u.oid
LEFT JOIN pg_type AS e ON e.typarray = t.oid
"""

_ENUMS: Final = """
SELECT 'enum', json_build_array(t.oid::int8, n.nspname, t.typname,
         (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum AS l WHERE l.enumtypid = t.oid))::text
FROM pg_type AS t JOIN namespace AS n ON n.oid = t.typnamespace
WHERE t.typtype = 'e'
  AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
"""

_FUNCTIONS: Final = """
SELECT 'function', json_build_array(
         p.oid::int8, p.nspname, p.proname,
         (SELECT json_agg(json_build_array(
                   coalesce(p.proargnames[a.place], ''), a.type::int8, format_type(a.type, NULL)) ORDER BY a.place)
          FROM unnest(p.types) WITH ORDINALITY AS a (type, place)
          WHERE p.proargmodes IS NULL OR p.proargmodes[a.place] IN ('i', 'b', 'v')),
         p.pronargdefaults, coalesce(pg_get_function_result(p.oid), ''), p.proretset, p.provolatile, p.prokind = 'p',
         coalesce(d.description, ''))::text
FROM routine AS p
LEFT JOIN pg_description AS d ON d.objoid = p.oid AND d.classoid = 'pg_proc'::regclass AND d.objsubid = 0
"""

_PARTS: Final = (_SCHEMAS, _RELATIONS, _COLUMNS, _CONSTRAINTS, _INDEXES, _TYPES, _ENUMS, _FUNCTIONS)
# One statement, so that a far database is asked once: rows of a tag and a JSON array, as core/rows.py has them.
CATALOG: Final = _COMMON + "UNION ALL".join(_PARTS)
