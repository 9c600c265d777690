import type { Text } from '../i18n.ts';

/** What more than one page says. */
export const sharedTexts = {
  switchLanguage: { en: '中文', zh: 'English' },
  switchLanguageLabel: { en: '切换到中文', zh: 'Switch to English' },
  dismiss: { en: 'Dismiss', zh: '关闭' },
  copy: { en: 'Copy', zh: '复制' },
  copied: { en: 'Copied', zh: '已复制' },
  copyFailed: { en: 'Copying failed', zh: '复制失败' },
  cancel: { en: 'Cancel', zh: '取消' },
  retry: { en: 'Try again', zh: '重试' },
  retryIn: { en: 'Try again in {seconds} s', zh: '{seconds} 秒后可重试' },
  requestId: { en: 'Request', zh: '请求编号' },

  // Logging in
  logIn: { en: 'Log in', zh: '登录' },
  loggingIn: { en: 'Logging in…', zh: '正在登录…' },
  logOut: { en: 'Log out', zh: '退出登录' },
  name: { en: 'Name', zh: '用户名' },
  password: { en: 'Password', zh: '密码' },
  showPassword: { en: 'Show the password', zh: '显示密码' },
  hidePassword: { en: 'Hide the password', zh: '隐藏密码' },
  nameMissing: { en: 'Enter your name.', zh: '请输入用户名。' },
  passwordMissing: { en: 'Enter your password.', zh: '请输入密码。' },
  plainHttp: {
    en: 'This page came over plain http: whoever sits in between can read your password. Ask your admin for https.',
    zh: '此页面通过明文 http 传输，途中的任何人都能看到您的密码。请管理员启用 https。',
  },

  // What went wrong with the account
  troubleOffline: { en: 'Your device has no network. Connect it, then try again.', zh: '您的设备没有网络。请连接后重试。' },
  troubleNetwork: {
    en: 'The server cannot be reached. It may be down, or the network may be. Try again in a moment.',
    zh: '无法连接服务器。可能是服务器已停止，或网络有问题。请稍后重试。',
  },
  troubleTimeout: { en: 'The server did not answer in time. Try again.', zh: '服务器没有及时应答。请重试。' },
  troubleGarbled: {
    en: 'The server answered with something this page does not understand. Reload it; if it stays so, tell the operator.',
    zh: '服务器返回了此页面无法理解的内容。请刷新页面；如仍然如此，请告知管理员。',
  },
  troubleInternal: {
    en: 'The server made a mistake. Try again; if it stays so, give the operator the request number.',
    zh: '服务器内部错误。请重试；如仍然如此，请把请求编号告知管理员。',
  },
  troubleUnknown: { en: 'The server refused this.', zh: '服务器拒绝了此操作。' },
  troubleCredentials: {
    en: 'The name or the password is wrong. If you have forgotten it, ask the operator for a new one.',
    zh: '用户名或密码错误。如果忘记了密码，请联系管理员重设。',
  },
  troubleAttempts: {
    en: 'There were too many attempts. Wait until the time has passed, then try again.',
    zh: '尝试次数过多。请等待一段时间后再试。',
  },
  troubleBusy: {
    en: 'The server is busy with other logins. Try again in a moment.',
    zh: '服务器正忙于处理其他登录。请稍后重试。',
  },
  troubleForbidden: { en: 'Your account may not do this. Ask the operator.', zh: '您的账户没有此权限。请联系管理员。' },
  troubleNetworkRefused: {
    en: 'Your network is not among those that are let in. Use another one (the office, the VPN), or ask the operator to add it.',
    zh: '您所在的网络不被允许。请改用其他网络（例如公司网络或 VPN），或请管理员添加。',
  },
  troubleHttps: {
    en: 'This server takes passwords only over https. Open the page again with https:// in front.',
    zh: '此服务器只通过 https 接收密码。请改用 https:// 重新打开页面。',
  },
  troubleSession: { en: 'Your session has ended. Log in again.', zh: '登录状态已过期。请重新登录。' },
} as const satisfies Record<string, Text>;
