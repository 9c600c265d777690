export type View = 'login' | 'account' | 'invite' | 'setup';

const views: Record<string, View> = { '/account': 'account', '/invite': 'invite', '/setup': 'setup' };

/** What to show at an address. The server sends this page in place of any that asks who you are: those mean the login. */
export function viewAt(pathname: string): View {
  return views[pathname.replace(/(?<=.)\/$/, '')] ?? 'login';
}

/**
 * The secret of a link, which stands in the fragment so that no server's log holds it. It leaves the address bar at once:
 * the next who looks at the screen or at the history shall not find it.
 */
export function takeToken(): string {
  const token = location.hash.slice(1);
  if (token) history.replaceState(null, '', location.pathname);
  return token;
}
