import { spawn } from 'node:child_process';

/**
 * Runs a program to its end.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {import('node:child_process').SpawnOptions & { quiet?: boolean }} options with `quiet`, what the program
 *   writes is kept and given back instead of shown.
 * @returns {Promise<{ code: number, output: string }>} the exit code, 128 + n for signal n, 127 where it does not exist.
 */
export function run(program, args, { quiet = false, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit', ...options });
    let output = '';
    child.stdout?.on('data', (octets) => {
      output += octets;
    });
    child.stderr?.on('data', (octets) => {
      output += octets;
    });
    child.on('error', (error) => {
      if (error.code === 'ENOENT' || error.code === 'EACCES') resolve({ code: 127, output: error.message });
      else reject(error);
    });
    child.on('close', (code, signal) => resolve({ code: code ?? 128 + (signalNumber(signal) ?? 0), output }));
  });
}

/** As `run`, showing what the program writes and handing on the signals that end this process. */
export async function runAsIfExecuted(program, args, options = {}) {
  const child = spawn(program, args, { stdio: 'inherit', ...options });
  // Ctrl-C reaches the child by itself; this process waits for its orderly end.
  const ignore = () => undefined;
  const handOn = (signal) => child.kill(signal);
  process.on('SIGINT', ignore);
  process.on('SIGTERM', handOn);
  process.on('SIGHUP', handOn);
  try {
    return await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => resolve(code ?? 128 + (signalNumber(signal) ?? 0)));
    });
  } finally {
    process.off('SIGINT', ignore);
    process.off('SIGTERM', handOn);
    process.off('SIGHUP', handOn);
  }
}

function signalNumber(signal) {
  return { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGPIPE: 13, SIGTERM: 15 }[
    signal
  ];
}
