import type { Text } from '../i18n.ts';

/** What the pages of login, account, invitation and setup say. */
export const accountTexts = {
  titleLogin: { en: 'Log in · Portico', zh: '登录 · Portico' },
  titleAccount: { en: 'Your account · Portico', zh: '您的账户 · Portico' },
  titleInvitation: { en: 'Invitation · Portico', zh: '邀请 · Portico' },
  titleSetup: { en: 'Setup · Portico', zh: '初始设置 · Portico' },
  oneMoment: { en: 'One moment…', zh: '请稍候…' },
  toChat: { en: 'To the chat', zh: '进入对话' },

  // Login
  loginTo: { en: 'Log in to {realm}', zh: '登录 {realm}' },
  loginScripts: {
    en: 'This page is for people. Programs send an API key, or a name and password as HTTP Basic, with every call.',
    zh: '此页面供人使用。程序请在每次调用中携带 API 密钥，或以 HTTP Basic 方式携带用户名和密码。',
  },
  loginForgotten: {
    en: 'No account yet, or the password forgotten? The operator can send you a link.',
    zh: '还没有账户，或忘记了密码？管理员可以发给您一个链接。',
  },
  localTitle: { en: 'Nobody is asked to log in here', zh: '这里无需登录' },
  localBody: {
    en: 'Portico runs in local mode: it answers only this machine, and everybody on it. There are no accounts until the first user is added: portico user add NAME',
    zh: 'Portico 处于本机模式：只应答本机，且本机上的任何人都可使用。添加第一个用户之前没有账户：portico user add NAME',
  },
  networkTitle: { en: 'You came in by your network', zh: '您通过所在网络进入' },
  networkBody: {
    en: 'Your address is allowed, so nobody asks who you are. To have keys of your own, log in.',
    zh: '您的地址在允许范围内，因此无需登录。如需自己的密钥，请登录。',
  },
  closedTitle: { en: 'Nobody can log in yet', zh: '目前还没有人可以登录' },
  closedBody: {
    en: 'Portico has no user so far. When it starts it prints a setup link, good for 15 minutes; or add a user on its machine: portico user add NAME',
    zh: 'Portico 还没有任何用户。它启动时会显示一个设置链接，15 分钟内有效；也可以在它所在的机器上添加用户：portico user add NAME',
  },

  // Choosing a password
  passwordNew: { en: 'New password', zh: '新密码' },
  passwordShort: { en: 'Use at least 8 characters.', zh: '至少需要 8 个字符。' },
  passwordHint: {
    en: 'At least 8 characters. Length is what counts: four random words are strong, and easy to remember.',
    zh: '至少 8 个字符。越长越安全：用几个互不相关的词组成一句，既牢固又好记。',
  },
  passwordTooShort: { en: '{count} characters: too short, 8 are needed.', zh: '{count} 个字符：太短，至少需要 8 个。' },
  passwordFair: { en: '{count} characters: enough, but longer is better.', zh: '{count} 个字符：可以，但更长更好。' },
  passwordGood: { en: '{count} characters: good.', zh: '{count} 个字符：良好。' },
  passwordStrong: { en: '{count} characters: strong.', zh: '{count} 个字符：很强。' },

  // Invitation
  invitationTitle: { en: 'Welcome, {name}', zh: '欢迎，{name}' },
  invitationBody: {
    en: 'You were invited to this Portico. Choose a password; with your name it lets you in from now on.',
    zh: '您受邀使用此 Portico。请设置密码，之后用您的用户名和密码登录。',
  },
  invitationSubmit: { en: 'Set the password and log in', zh: '设置密码并登录' },
  saving: { en: 'Saving…', zh: '正在保存…' },
  invitationInvalidTitle: { en: 'This invitation is no longer good', zh: '此邀请已失效' },
  invitationInvalid: {
    en: 'The link was used already, or it is too old. Ask whoever sent it for a new one; the operator makes it with: portico user invite NAME',
    zh: '链接已被使用，或已过期。请向发送者索取新的链接；管理员可以用此命令生成：portico user invite NAME',
  },
  linkIncompleteTitle: { en: 'The link is not whole', zh: '链接不完整' },
  linkIncomplete: {
    en: 'Its last part, behind the #, is missing. It is not kept when the page is reloaded: open the link once more, all of it.',
    zh: '缺少 # 之后的部分。刷新页面时不会保留它：请重新打开完整的链接。',
  },

  // Setup
  setupTitle: { en: 'Set up Portico', zh: '设置 Portico' },
  setupBody: {
    en: 'You make the first account. It is an operator’s: it may do everything, and everybody else is invited by it.',
    zh: '您将创建第一个账户。它是管理员账户：拥有全部权限，其他人由它邀请。',
  },
  setupSubmit: { en: 'Make the account', zh: '创建账户' },
  setupInvalidTitle: { en: 'This setup link is no longer good', zh: '此设置链接已失效' },
  setupInvalid: {
    en: 'It was used, it is older than 15 minutes, or somebody has an account already. Log in, or add a user on Portico’s machine: portico user add NAME',
    zh: '它已被使用、已超过 15 分钟，或者已经有人创建了账户。请登录，或在 Portico 所在的机器上添加用户：portico user add NAME',
  },

  // Account
  accountTitle: { en: 'Your account', zh: '您的账户' },
  role: { en: 'Role', zh: '角色' },
  roleUser: { en: 'User', zh: '用户' },
  roleOperator: { en: 'Operator', zh: '管理员' },
  plan: { en: 'Plan', zh: '套餐' },
  sessionEnds: { en: 'Session ends', zh: '登录有效期至' },
  noSession: {
    en: 'Your browser sends name and password by itself; close it to log out.',
    zh: '您的浏览器会自动发送用户名和密码；关闭浏览器即可退出。',
  },
  inviteTitle: { en: 'Let others in', zh: '邀请他人' },
  inviteBody: {
    en: 'On Portico’s machine, add a person, then make the link with which they choose their own password.',
    zh: '在 Portico 所在的机器上添加用户，然后生成链接，让对方自己设置密码。',
  },
  commands: { en: 'On the server', zh: '在服务器上' },

  // Keys
  keysTitle: { en: 'API keys', zh: 'API 密钥' },
  keysBody: {
    en: 'A key lets a program in as you, so that your password stays with you. Give each program its own.',
    zh: '密钥让程序以您的身份访问，无需交出您的密码。请为每个程序单独创建。',
  },
  keysEmpty: {
    en: 'You have no key yet. With one, OpenAI’s libraries, curl and most tools for language models can use this server.',
    zh: '您还没有密钥。有了密钥，OpenAI 的库、curl 以及大多数语言模型工具都可以使用此服务器。',
  },
  keyName: { en: 'What is it for?', zh: '用途' },
  keyNameHint: { en: 'Such as: laptop, nightly report', zh: '例如：笔记本电脑、每日报告' },
  keyNameMissing: { en: 'Say what the key is for, so that you know it again.', zh: '请填写用途，以便日后辨认。' },
  keyExpires: { en: 'Expires', zh: '有效期' },
  keyDays: { en: 'after {days} days', zh: '{days} 天后到期' },
  keyYear: { en: 'after a year', zh: '一年后到期' },
  keyNever: { en: 'never', zh: '永不过期' },
  keyCreate: { en: 'Create the key', zh: '创建密钥' },
  keyCreating: { en: 'Creating…', zh: '正在创建…' },
  keyShownTitle: { en: 'Copy the key “{name}” now', zh: '请立即复制密钥“{name}”' },
  keyShownBody: {
    en: 'It is shown only this once, and stored here only as a fingerprint. Whoever has it acts as you: keep it like a password.',
    zh: '密钥只显示这一次，服务器只保存它的指纹。任何持有它的人都能以您的身份访问：请像密码一样保管。',
  },
  keyShownOld: {
    en: 'The old key works until {until}. Replace it in your programs before that.',
    zh: '旧密钥在 {until} 之前仍然有效。请在此之前更换程序中的密钥。',
  },
  keyShownDone: { en: 'I have stored it', zh: '我已保存' },
  keyLabel: { en: 'The key', zh: '密钥' },
  snippetCurl: { en: 'Try it with curl', zh: '用 curl 试用' },
  snippetPython: { en: 'In Python, with OpenAI’s library (pip install openai)', zh: '在 Python 中使用 OpenAI 的库（pip install openai）' },
  copyOf: { en: 'Copy: {label}', zh: '复制：{label}' },
  keyActive: { en: 'Active', zh: '有效' },
  keyExpired: { en: 'Expired', zh: '已过期' },
  keyRevoked: { en: 'Revoked', zh: '已吊销' },
  keyRotated: { en: 'Replaced', zh: '已更换' },
  keyCreated: { en: 'created {date}', zh: '创建于 {date}' },
  keyUsed: { en: 'last used {date}', zh: '最近使用 {date}' },
  keyUnused: { en: 'never used', zh: '从未使用' },
  keyUntil: { en: 'expires {date}', zh: '{date} 到期' },
  keyWasUntil: { en: 'expired {date}', zh: '已于 {date} 到期' },
  keyForever: { en: 'does not expire', zh: '永不过期' },
  keyModels: { en: 'only {models}', zh: '仅限 {models}' },
  keyNetworks: { en: 'only from {networks}', zh: '仅限来自 {networks}' },
  keyFormer: { en: 'Former keys ({count})', zh: '以往的密钥（{count}）' },
  keyRotate: { en: 'Rotate', zh: '更换' },
  keyRotateOf: { en: 'Rotate {name}', zh: '更换 {name}' },
  keyRevoke: { en: 'Revoke', zh: '吊销' },
  keyRevokeOf: { en: 'Revoke {name}', zh: '吊销 {name}' },
  rotateTitle: { en: 'Rotate “{name}”?', zh: '更换“{name}”？' },
  rotateBody: {
    en: 'You get a new key with the same limits. The old one goes on working for a while, so that you can replace it in your programs without a gap.',
    zh: '您将得到一个限制相同的新密钥。旧密钥会在一段时间内继续有效，便于您在程序中逐一更换而不中断。',
  },
  rotateDo: { en: 'Make the new key', zh: '生成新密钥' },
  revokeTitle: { en: 'Revoke “{name}”?', zh: '吊销“{name}”？' },
  revokeBody: {
    en: 'Programs that use this key are refused from now on. This cannot be undone.',
    zh: '使用此密钥的程序将立即被拒绝。此操作无法撤销。',
  },
  revokeDo: { en: 'Revoke the key', zh: '吊销密钥' },
  revoked: { en: 'The key “{name}” is revoked.', zh: '密钥“{name}”已吊销。' },

  // Password and sessions
  passwordTitle: { en: 'Password', zh: '密码' },
  passwordCurrent: { en: 'Current password', zh: '当前密码' },
  passwordWrong: { en: 'This is not your current password.', zh: '当前密码不正确。' },
  passwordBody: {
    en: 'With the change every other session of yours ends; this one goes on. Keys are not touched.',
    zh: '更改密码后，您的其他登录都会结束，当前登录继续有效。密钥不受影响。',
  },
  passwordChange: { en: 'Change the password', zh: '更改密码' },
  passwordChanged: { en: 'The password is changed. Every other session has ended.', zh: '密码已更改。其他登录均已结束。' },
  passwordFile: {
    en: 'The operator keeps your password in a file (htpasswd). It cannot be changed here: ask the operator.',
    zh: '您的密码由管理员保存在文件（htpasswd）中，无法在此更改：请联系管理员。',
  },
  sessionsTitle: { en: 'Other sessions', zh: '其他登录' },
  sessionsBody: {
    en: 'Have you left a browser logged in somewhere else? This logs it out, and keeps you here.',
    zh: '在别处的浏览器中忘记退出了吗？可以让它们全部退出，当前登录不受影响。',
  },
  sessionsEnd: { en: 'End every other session', zh: '结束所有其他登录' },
  sessionsEnded: { en: 'Every other session has ended.', zh: '所有其他登录均已结束。' },
} as const satisfies Record<string, Text>;
