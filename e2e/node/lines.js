'use strict';
// The scripts of this folder are driven by Go tests: one JSON object a line, commands on standard input, what
// happens on standard output.

const readline = require('readline');

// emit reports that something happened.
exports.emit = function (event, fields) {
  process.stdout.write(JSON.stringify(Object.assign({ event }, fields)) + '\n');
};

// commands calls the function named by "do" of each command with the command. A command that throws is reported;
// the end of the input ends the process.
exports.commands = function (handlers) {
  const lines = readline.createInterface({ input: process.stdin, terminal: false });
  lines.on('line', (line) => {
    const command = JSON.parse(line);
    try {
      handlers[command.do](command);
    } catch (err) {
      exports.emit('failed', { do: command.do, error: String(err && err.stack || err) });
    }
  });
  lines.on('close', () => process.exit(0));
};
