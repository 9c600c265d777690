/** Seconds until something may be tried again. Call it while a component is set up: it ends with the component. */
export class Countdown {
  left = $state(0);

  /** `wait` names the seconds to wait for, from the moment that it changes; undefined is no wait. */
  constructor(wait: () => number | undefined) {
    $effect(() => {
      const until = Date.now() + (wait() ?? 0) * 1000;
      const tick = () => (this.left = Math.max(0, Math.ceil((until - Date.now()) / 1000)));
      // What `tick` returns, not `left`: reading that here would start the time anew with every second.
      if (tick() === 0) return;
      const timer = setInterval(() => tick() === 0 && clearInterval(timer), 250);
      return () => clearInterval(timer);
    });
  }
}
