// Where the server is: HITHER_URL, postgres://user@host:port/database.
export const url = process.env.HITHER_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres';

const parts = new URL(url);
export const address = {
  host: parts.hostname, port: Number(parts.port), user: parts.username, database: parts.pathname.slice(1),
};
