// pg-boss: a job queue in the database (it makes an enum and functions in plpgsql).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { url } from './server.js';

test('pg-boss', { timeout: 30000 }, async () => {
  const PgBoss = (await import('pg-boss')).default;
  const boss = new PgBoss({ connectionString: url });
  boss.on('error', () => {});
  try { await boss.start(); await boss.createQueue('q'); await boss.send('q', { a: 1 }); const [job] = await boss.fetch('q'); assert.deepEqual(job.data, { a: 1 }); await boss.complete('q', job.id); }
  finally { await boss.stop({ graceful: false, timeout: 1000 }).catch(() => {}); }
});
