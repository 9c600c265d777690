import DOMPurify from 'dompurify';

/** Exactly what `markdown.ts` writes; everything else in a block is an attack or a fault. */
const tags = [
  'p', 'br', 'hr', 'strong', 'em', 'del', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li', 'a', 'span', 'div', 'button',
  'h3', 'h4', 'h5', 'h6', 'table', 'thead', 'tbody', 'tr', 'th', 'td',
];
const attributes = ['href', 'target', 'rel', 'class', 'start', 'tabindex', 'type'];

DOMPurify.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName === 'A') {
    node.setAttribute('target', '_blank');
    node.setAttribute('rel', 'noopener noreferrer');
  }
});

/** Puts a block of rendered markdown into the page, through the second wall. The only place where HTML becomes DOM. */
export function setSafeHtml(node: Element, html: string): void {
  node.innerHTML = DOMPurify.sanitize(html, {
    ALLOWED_TAGS: tags,
    ALLOWED_ATTR: attributes,
    ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_TRUSTED_TYPE: true,
  }) as unknown as string; // the DOM's own type does not know Trusted Types yet
}
