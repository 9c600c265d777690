/** Keeps the end of a growing conversation in view, but only for a reader who is there already. */
export class Follower {
  atEnd = $state(true);
  /** Off while there is no conversation: the start page is read from its top. */
  #following = false;
  #node: HTMLElement | undefined;
  #lastTop = 0;

  /** Attach to the scrolling element; its first child is what grows. */
  follow = (node: HTMLElement): (() => void) => {
    this.#node = node;
    const grown = new ResizeObserver(() => {
      if (!this.#following) return;
      if (this.atEnd) this.jump();
      else this.#judge();
    });
    grown.observe(node);
    if (node.firstElementChild) grown.observe(node.firstElementChild);
    node.addEventListener('scroll', this.#judge, { passive: true });
    return () => {
      grown.disconnect();
      node.removeEventListener('scroll', this.#judge);
    };
  };

  jump(): void {
    const node = this.#node;
    if (!node) return;
    this.#following = true;
    node.scrollTop = node.scrollHeight;
    this.#lastTop = node.scrollTop;
    this.atEnd = true;
  }

  /** Goes back to the top and follows nothing until the next jump. */
  rest(): void {
    this.#following = false;
    this.atEnd = true;
    this.#lastTop = 0;
    if (this.#node) this.#node.scrollTop = 0;
  }

  /** Only moving up lets go of the end: a text that grew under the reader has not been scrolled. */
  #judge = (): void => {
    const node = this.#node;
    if (!node || !this.#following) return;
    const left = node.scrollHeight - node.clientHeight - node.scrollTop;
    if (left < 32) this.atEnd = true;
    else if (node.scrollTop < this.#lastTop - 1) this.atEnd = false;
    this.#lastTop = node.scrollTop;
  };
}
