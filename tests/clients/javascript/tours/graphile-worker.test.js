// graphile-worker: a job queue in the database (its migrations are in plpgsql).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { url } from './server.js';

test('graphile-worker', { timeout: 30000 }, async () => {
  const { runMigrations, quickAddJob, runOnce } = await import('graphile-worker');
  const logger = new (await import('graphile-worker')).Logger(() => () => {});
  await runMigrations({ connectionString: url, logger });
  await quickAddJob({ connectionString: url, logger }, 't', { a: 1 });
  let seen; await runOnce({ connectionString: url, logger, taskList: { t: (p) => { seen = p; } } });
  assert.deepEqual(seen, { a: 1 });
});
