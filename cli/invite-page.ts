import { createHash } from 'node:crypto';
import { renderSVG } from 'uqr';
import { formatSize } from '../lib/base/units.ts';
import { pageScript, pageStyle } from './invite-page-parts.ts';
import { qrCharactersMax } from './qr.ts';
import type { InviteMade } from '../lib/vault/types.ts';

/** What a page is made from. */
export type PageFacts = Pick<InviteMade, 'text' | 'expiresMs' | 'quotaBytes'> & {
  /** The name of the one who invites, as they typed it. */
  readonly inviter: string;
};

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as it stands in HTML, also within an attribute: nothing of it is markup. Controlling characters are left out. */
function escaped(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '').replace(/[&<>"']/g, (character) => entities[character] ?? '');
}

/** `'sha256-…'`, as a content security policy names an inline style or script. */
function hashSource(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** Nothing but this very style and script: a page with a secret on it asks nobody for anything. */
function policy(): string {
  return [
    "default-src 'none'",
    `style-src ${hashSource(pageStyle)}`,
    `script-src ${hashSource(pageScript)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

/** A code to photograph, or nothing where the line is too long for one. */
function qrPart(line: string): string {
  const text = line.toUpperCase();
  if (text.length > qrCharactersMax) return '';
  const svg = renderSVG(text, { ecc: 'L', border: 4, pixelSize: 4 });
  return `<h2>On another device?</h2>
<p>The same code as a picture, for a camera that reads text:</p>
<div class="qr" role="img" aria-label="The invite as a QR code">${svg}</div>`;
}

function systemPart(name: string, steps: readonly string[]): string {
  return `<details><summary>${name}</summary><ol>${steps.map((step) => `<li>${step}</li>`).join('')}</ol></details>`;
}

const terminalSteps = [
  systemPart('Windows', [
    'Click Start, type <kbd>PowerShell</kbd>, open it, and type <code>wsl --install</code>. It sets up a small Linux in Windows. Start the computer anew when it asks you to.',
    'Open <b>Ubuntu</b> from the Start menu. Go on as under Linux, in that window.',
  ]),
  systemPart('macOS', [
    'Press <kbd>⌘</kbd> and the space bar, type <kbd>Terminal</kbd>, and press Enter.',
    'Install Node (version 20.19 or newer) from <b>nodejs.org</b>.',
    'Type <code>git --version</code>; if git is missing, macOS offers to install it.',
  ]),
  systemPart('Linux', [
    'Open the program called <b>Terminal</b>.',
    'Install Node (version 20.19 or newer), npm and git: from <b>nodejs.org</b>, or with the program that installs software on your system. Typing <code>node --version</code> shows what you have.',
  ]),
].join('\n');

/**
 * One page with all that somebody who has never used a terminal needs to accept an invite: steps, code, copy button, picture. It loads
 * nothing from anywhere, works without its script, and is as secret as the invite.
 */
export function invitePage({ text, expiresMs, quotaBytes, inviter }: PageFacts): string {
  const name = escaped(inviter);
  const until = new Date(expiresMs).toISOString().replace('T', ' ').slice(0, 16);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>${name} invites you to kith</title>
<style>${pageStyle}</style>
</head>
<body>
<main>
<h1>${name} invites you to kith</h1>
<p>kith is a program that keeps the files of friends on each other's computers. What you back up is cut in pieces and encrypted on your own
computer before anything leaves it: ${name} keeps pieces for you that only you can read, and you keep some for ${name}.</p>
<p>You need a computer for it, with Windows, macOS or Linux, and half an hour. <b>On a telephone?</b> Open this page on the computer: send it to yourself.</p>
<p>${name} offers you <b>${escaped(formatSize(quotaBytes))}</b> of room.</p>
<p class="warning"><b>This page is a key.</b> Whoever has it can become ${name}'s friend in kith, once, until ${until} UTC. Don't pass it on; throw it away when you are done.</p>

<h2>1. A window to type in</h2>
<p>kith has no buttons yet: you type a line into a window called a <b>terminal</b>, press <kbd>Enter</kbd>, and read what it answers. Nothing breaks if you mistype; type it again. Choose what your computer has:</p>
${terminalSteps}

<h2>2. kith itself</h2>
<p>kith is a folder of files. <b>Ask ${name} for it</b>: they send you a link or a file. If it is a file that ends in <code>.zip</code>, unpack it (double-click it, or right-click and “Extract”).</p>
<p>Now go into that folder in the window of step 1: type <code>cd</code> and a space, drag the folder from your desktop onto the window, and press Enter. (In Ubuntu on Windows: put the folder on the desktop, type
<code>cd /mnt/c/Users</code>, Enter, then <code>cd</code> and the names from there on, such as <code>cd ben/Desktop/kith</code>.)</p>
<p>There, type these two lines, with Enter behind each. The first takes a minute or two, and ends with a number such as 0.1.0:</p>
<pre><code>npm run kith -- --version
npm link</code></pre>
<p>If the second says <code>EACCES</code>, type <code>sudo npm link</code>; it asks for the password of your computer, which you don't see while you type it.</p>

<h2>3. Your own identity</h2>
<p>Two lines again, with your own name in the place of YOUR-NAME, such as <code>ben</code>:</p>
<pre><code>kith init --name YOUR-NAME
kith up --detach</code></pre>
<p>The first line shows 24 words. Write them on paper and keep it safe: they alone bring everything back if your computer is lost.</p>

<h2>4. The invite</h2>
<p>Type <code>kith accept</code> and a space, paste this code behind it, and press Enter. (To paste: <kbd>Ctrl</kbd> <kbd>Shift</kbd> <kbd>V</kbd>; on a Mac <kbd>⌘</kbd> <kbd>V</kbd>; in a window on Windows the right mouse button.)</p>
<textarea id="code" readonly rows="6" spellcheck="false" aria-label="The code of the invite">${escaped(text)}</textarea>
<p><button id="copy" type="button" hidden>Copy the code</button> <span id="copied" role="status"></span></p>
<p>Or, if this page is a file on that computer: <code>kith accept</code>, a space, and the name of the file.</p>

<h2>5. The right person?</h2>
<p>kith then shows six <b>safety words</b>. Ask ${name}, by telephone say, whether they see the same six. If so, nobody sits between you.</p>

<h2>6. Your first backup</h2>
<pre><code>kith backup ~/Documents
kith status</code></pre>
<p>The second line says in its first word how it stands. After each start of the computer type <code>kith up --detach</code> once: only then can ${name} reach you, and you ${name}.</p>

${qrPart(text)}
</main>
<script>${pageScript}</script>
</body>
</html>
`;
}
