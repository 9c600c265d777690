import { fetchMe, logOut, type Me, type User } from '../lib/account.ts';
import type { Failure } from '../lib/failure.ts';
import { claimTab } from '../lib/owner.ts';
import { caught } from '../lib/trouble.ts';

/** Who is in front of the page, and whether the server wants to know it again. */
export class Identity {
  #me = $state.raw<Me | undefined>(undefined);
  #known = '';
  /** A call was refused because nobody is logged in, and nobody has logged in since. */
  signedOut = $state(false);
  /** The dialog is shown. It can be put away, to read or to copy what is there; a button brings it back. */
  asking = $state(false);
  /** Why logging out did not work. */
  failure = $state.raw<Failure | undefined>(undefined);
  readonly onEnter: (change: 'same' | 'other') => void;

  /** `onEnter`: somebody logged in over the page, the person from before or another one. */
  constructor(onEnter: (change: 'same' | 'other') => void) {
    this.onEnter = onEnter;
  }

  /** Null where nobody has to log in. */
  get user(): User | null {
    return this.#me?.user ?? null;
  }

  /** Without a session there is nothing that could be ended. */
  get hasSession(): boolean {
    return this.#me?.session != null;
  }

  /** The dialog was put away, and nobody has logged in since. */
  get putAway(): boolean {
    return this.signedOut && !this.asking;
  }

  /** Who was here last, for the form. */
  get lastName(): string {
    return this.#known;
  }

  /** Asks who is here. A server that can't tell is asked again by whatever goes wrong next. */
  async look(): Promise<void> {
    try {
      const me = await fetchMe();
      this.#me = me;
      if (!me.user && me.mode === 'identity') return;
      if (this.signedOut || this.#known !== (me.user?.name ?? '')) this.#enter(me.user?.name);
    } catch (error) {
      if (caught(error).kind === 'signedOut') this.challenge();
    }
  }

  /** A call was refused with 401. Asked for once: who put the dialog away is not bothered again by what happens by itself. */
  challenge(): void {
    if (!this.signedOut) this.asking = true;
    this.signedOut = true;
  }

  entered(user: User): void {
    this.#enter(user.name);
    void this.look(); // for the rest of it: the plan, the session's end
  }

  async leave(): Promise<void> {
    this.failure = undefined;
    try {
      await logOut();
      location.assign('/login');
    } catch (error) {
      this.failure = caught(error);
    }
  }

  #enter(name: string | undefined): void {
    const other = name !== undefined && claimTab(name);
    const asked = this.signedOut;
    this.#known = name ?? '';
    this.signedOut = false;
    this.asking = false;
    if (other || asked) this.onEnter(other ? 'other' : 'same');
  }
}
