/** The style of an invite's page: the system's own letters, light or dark as the reader has it, one column that fits a phone. */
export const pageStyle = `
:root { color-scheme: light dark; --ink: #1c2328; --paper: #fbfaf7; --soft: #eeece5; --line: #d5d1c5; --link: #1d5f52; --warn: #fff1d2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e4dd; --paper: #15191b; --soft: #21272a; --line: #384146; --link: #7cc7b4; --warn: #3a3016; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.0625rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 42rem; margin: 0 auto; padding: 1.5rem 1.1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0 1rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.warning { background: var(--warn); border-left: 4px solid #d99a1c; padding: .7rem .9rem; border-radius: 4px; }
pre, textarea { width: 100%; background: var(--soft); color: inherit; border: 1px solid var(--line); border-radius: 6px; padding: .7rem .8rem; font: .9rem/1.5 ui-monospace, monospace; }
pre { overflow-x: auto; margin: .5rem 0; }
textarea { resize: vertical; user-select: all; word-break: break-all; }
code, kbd { font-family: ui-monospace, monospace; font-size: .92em; }
:not(pre) > code, kbd { background: var(--soft); border-radius: 4px; padding: .1em .35em; }
details { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .8rem; margin: .4rem 0; }
summary { cursor: pointer; font-weight: 600; }
button { font: inherit; font-weight: 600; padding: .6rem 1.2rem; border: 0; border-radius: 6px; background: var(--link); color: var(--paper); cursor: pointer; }
.qr { background: #fff; border-radius: 6px; padding: .5rem; width: min(100%, 26rem); }
.qr svg { display: block; width: 100%; height: auto; }
@media print { button { display: none; } }
`;

/** Copies the code. Without it, or where it may not, the code can be selected with one click and copied by hand. */
export const pageScript = `
'use strict';
const code = document.getElementById('code');
const button = document.getElementById('copy');
const copied = document.getElementById('copied');
button.hidden = false;
code.addEventListener('focus', () => code.select());
button.addEventListener('click', async () => {
  code.focus();
  code.select();
  let done = false;
  try { await navigator.clipboard.writeText(code.value); done = true; } catch { done = document.execCommand('copy'); }
  copied.textContent = done ? 'Copied.' : 'Now press Ctrl+C (on a Mac: Cmd+C).';
});
`;
