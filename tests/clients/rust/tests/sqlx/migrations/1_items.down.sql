DROP TABLE sqx_migrated;
DROP TYPE sqx_state;
