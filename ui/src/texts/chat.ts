import type { Text } from '../i18n.ts';

/** What the chat page says. */
export const chatTexts = {
  // The page
  title: { en: 'Portico chat', zh: 'Portico 对话' },
  skipToInput: { en: 'Skip to the message box', zh: '跳到输入框' },
  newChat: { en: 'New chat', zh: '新对话' },
  model: { en: 'Model', zh: '模型' },
  conversation: { en: 'Conversation', zh: '对话' },
  you: { en: 'You', zh: '您' },
  assistant: { en: 'Answer', zh: '回答' },
  jumpToLatest: { en: 'Jump to latest', zh: '跳到最新' },
  accountAndKeys: { en: 'Account and keys', zh: '账户与密钥' },
  accountOf: { en: 'Account of {name}', zh: '{name} 的账户' },
  planNamed: { en: 'Plan: {plan}', zh: '套餐：{plan}' },
  loginAgain: { en: 'Log in to go on', zh: '请登录以继续' },
  loginAgainBody: {
    en: 'Your session has ended, or was ended. What you wrote stays here, and a message that was refused is sent after the login.',
    zh: '登录状态已过期或已被结束。您写的内容会保留，被拒绝的消息会在登录后自动发送。',
  },
  notNow: { en: 'Not now', zh: '暂不登录' },
  sendAgain: { en: 'Send again', zh: '重新发送' },

  // State of the model
  stateReady: { en: 'Ready', zh: '就绪' },
  stateLoading: { en: 'Loading', zh: '加载中' },
  stateDown: { en: 'Not answering', zh: '无响应' },
  stateStopped: { en: 'Stopped', zh: '已停止' },
  stateUnknown: { en: 'Checking', zh: '检查中' },
  stateUnreachable: { en: 'No connection', zh: '无连接' },
  noticeLoading: {
    en: 'The model is loading; your message will be sent when it is ready.',
    zh: '模型正在加载；就绪后会自动发送您的消息。',
  },
  noticeDown: {
    en: 'The model does not answer right now. It is being tried again all the time.',
    zh: '模型目前没有响应，正在不断重试。',
  },
  noticeStopped: {
    en: 'The model is stopped. Its operator can start it: portico model start',
    zh: '模型已停止。管理员可以用 portico model start 启动它。',
  },
  noticeUnreachable: {
    en: 'The server cannot be reached. What you wrote stays here; the page keeps trying.',
    zh: '无法连接服务器。您写的内容会保留，页面会继续重试。',
  },
  noticeNoModels: { en: 'The server offers no model to you.', zh: '服务器没有可供您使用的模型。' },

  // Small stand-in models
  standInSmollm2: {
    en: 'SmolLM2-135M, a small stand-in: it writes fluently but is often wrong.',
    zh: 'SmolLM2-135M 是一个小型替身模型：文字流畅，但经常出错，中文能力也很弱。',
  },
  standInColour: {
    en: 'Colour model: a real Qwen3-VL of half a million parameters that only names colours.',
    zh: '颜色模型：一个真正的 Qwen3-VL，只有五十万参数，只会用英文说出颜色。',
  },

  // Empty page
  greeting: { en: 'What would you like to know?', zh: '想聊点什么？' },
  greetingSub: {
    en: 'Your own model, on your own machine. Ask something, or show it a picture.',
    zh: '您自己的模型，运行在您自己的机器上。提个问题，或给它看一张图片。',
  },
  greetingSubText: {
    en: 'Your own model, on your own machine. Ask it something.',
    zh: '您自己的模型，运行在您自己的机器上。问点什么吧。',
  },
  examples: { en: 'Examples', zh: '示例' },
  exampleExplain: { en: 'Explain something', zh: '解释概念' },
  exampleExplainPrompt: {
    en: 'Why is the sky blue? Explain it in three sentences.',
    zh: '天空为什么是蓝色的？请用三句话解释。',
  },
  exampleWrite: { en: 'Write a draft', zh: '起草文字' },
  exampleWritePrompt: {
    en: 'Write a short, friendly e-mail that moves a meeting to Thursday.',
    zh: '写一封简短友好的邮件，把会议改到星期四。',
  },
  exampleCode: { en: 'Help with code', zh: '编写代码' },
  exampleCodePrompt: {
    en: 'Write a Python function that removes duplicates from a list and keeps the order.',
    zh: '写一个 Python 函数，去除列表中的重复项并保持顺序。',
  },
  exampleImage: { en: 'Look at a picture', zh: '看图' },
  exampleImagePrompt: { en: 'Describe this picture.', zh: '描述这张图片。' },
  exampleImageHint: { en: 'Choose a picture and ask about it', zh: '选择一张图片并提问' },
  exampleColour: { en: 'Show a colour', zh: '出示颜色' },
  exampleColourRed: { en: 'Send a red picture', zh: '发送一张红色图片' },
  exampleColourBlue: { en: 'Send a blue picture', zh: '发送一张蓝色图片' },
  exampleColourGreen: { en: 'Send a green picture', zh: '发送一张绿色图片' },

  // Composer
  message: { en: 'Message', zh: '消息' },
  messagePlaceholder: { en: 'Write a message…', zh: '输入消息…' },
  keysHint: { en: 'Enter sends · Shift+Enter starts a new line', zh: 'Enter 发送 · Shift+Enter 换行' },
  hurried: { en: 'Goes out in a moment…', zh: '马上发出…' },
  send: { en: 'Send', zh: '发送' },
  stop: { en: 'Stop', zh: '停止' },
  attach: { en: 'Attach pictures', zh: '添加图片' },
  attached: { en: 'Attached pictures', zh: '已添加的图片' },
  attachedBusy: { en: 'Reading the picture…', zh: '正在读取图片…' },
  removeImage: { en: 'Remove {name}', zh: '移除 {name}' },
  imageInfo: { en: '{width}×{height} · {tokens} tokens · {size} KB', zh: '{width}×{height} · {tokens} 词元 · {size} KB' },
  imageUnnamed: { en: 'picture', zh: '图片' },
  imageGone: {
    en: 'Picture ({width}×{height}), not kept when the page was reloaded',
    zh: '图片（{width}×{height}），刷新页面时没有保留',
  },
  dropHere: { en: 'Drop pictures here', zh: '把图片拖放到这里' },
  cannotSee: { en: '{model} cannot see pictures.', zh: '{model} 看不了图片。' },
  cannotSeeNoOther: {
    en: 'No model here can. Remove the pictures to send the text.',
    zh: '这里没有能看图的模型。请移除图片后再发送文字。',
  },
  switchTo: { en: 'Switch to {model}', zh: '切换到 {model}' },
  notAnImage: {
    en: '{name} is no picture. PNG, JPEG, WebP and GIF can be sent.',
    zh: '{name} 不是图片。可以发送 PNG、JPEG、WebP 和 GIF。',
  },
  cannotDecode: {
    en: '{name} cannot be read: it is damaged, or of a kind this browser does not know (HEIC, for one). Save it as JPEG or PNG.',
    zh: '无法读取 {name}：文件已损坏，或浏览器不支持该格式（例如 HEIC）。请另存为 JPEG 或 PNG。',
  },
  tooManyAttached: { en: 'At most {count} pictures fit into one message.', zh: '一条消息最多 {count} 张图片。' },

  // Life of an answer
  stepSending: { en: 'Sending…', zh: '正在发送…' },
  stepLoading: { en: 'Waiting until the model is loaded…', zh: '等待模型加载…' },
  stepQueued: { en: 'Waiting, position {position}', zh: '排队中，第 {position} 位' },
  stepReading: { en: 'The model is reading…', zh: '模型正在阅读…' },
  stepSeconds: { en: '{seconds} s', zh: '{seconds} 秒' },
  thinking: { en: 'Thinking', zh: '思考过程' },
  answerComplete: { en: 'The answer is complete.', zh: '回答完毕。' },
  answerStopped: { en: 'Stopped.', zh: '已停止。' },
  answerEmpty: { en: 'The model answered with nothing.', zh: '模型没有给出任何内容。' },
  endLength: {
    en: 'The answer reached its length limit and ends here.',
    zh: '回答达到长度上限，到此为止。',
  },
  endFiltered: { en: 'The answer was withheld by a content filter.', zh: '回答被内容过滤器拦截。' },
  copyCode: { en: 'Copy', zh: '复制' },
  regenerate: { en: 'Regenerate', zh: '重新生成' },
  blockedImage: { en: 'Picture from elsewhere, not loaded', zh: '外部图片，未加载' },
  metricFirst: { en: 'first token {seconds} s', zh: '首词元 {seconds} 秒' },
  metricSpeed: { en: '{speed} tokens/s', zh: '{speed} 词元/秒' },
  metricTokens: { en: '{tokensIn} in, {tokensOut} out', zh: '输入 {tokensIn}，输出 {tokensOut}' },
  metrics: { en: 'Measurements of this answer', zh: '本次回答的统计' },

  // What went wrong, and what to do
  serverSays: { en: 'The server says: {message}', zh: '服务器提示：{message}' },
  failOffline: { en: 'You are offline', zh: '网络已断开' },
  failOfflineDo: { en: 'Your device has no network. Connect it, then try again.', zh: '您的设备没有网络。请连接后重试。' },
  failNetwork: { en: 'The server cannot be reached', zh: '无法连接服务器' },
  failNetworkDo: {
    en: 'The connection failed before the message arrived. Check the network, then try again.',
    zh: '消息送达之前连接失败。请检查网络后重试。',
  },
  failCut: { en: 'The answer was cut off', zh: '回答中断' },
  failCutDo: {
    en: 'The connection ended before the answer did. What arrived is kept above.',
    zh: '回答结束之前连接断开了。已收到的内容保留在上方。',
  },
  failSilent: { en: 'Nothing arrives any more', zh: '长时间没有收到任何内容' },
  failSilentDo: {
    en: 'The server has been silent for more than five minutes, so the page gave up.',
    zh: '服务器超过五分钟没有任何响应，页面已放弃等待。',
  },
  failGarbled: { en: 'The answer could not be understood', zh: '无法理解服务器的回答' },
  failGarbledDo: {
    en: 'Something between this page and the model answers in another language than expected. Tell the operator.',
    zh: '页面与模型之间的某个环节返回了意外的内容。请告知管理员。',
  },
  failSignedOut: { en: 'You are not logged in', zh: '您尚未登录' },
  failSignedOutDo: {
    en: 'Your session may have ended. Log in again; the conversation is kept in this tab.',
    zh: '登录状态可能已过期。请重新登录；对话会保留在此标签页中。',
  },
  failForbidden: { en: 'You may not do this', zh: '您没有权限' },
  failForbiddenDo: {
    en: 'Your account, key or network is not allowed to use this model. Ask the operator.',
    zh: '您的账户、密钥或所在网络不允许使用此模型。请联系管理员。',
  },
  failNetworkRefused: { en: 'Your network is not let in', zh: '您所在的网络不被允许' },
  failNetworkRefusedDo: {
    en: 'Portico lets in only some networks. Use one of those (the office, the VPN), or ask the operator to add yours.',
    zh: 'Portico 只允许部分网络访问。请改用允许的网络（例如公司网络或 VPN），或请管理员添加您的网络。',
  },
  failHttpsRequired: { en: 'This server wants https', zh: '此服务器要求使用 https' },
  failHttpsRequiredDo: {
    en: 'The page was opened over plain http. Open it again with https:// in front.',
    zh: '此页面是通过明文 http 打开的。请改用 https:// 重新打开。',
  },
  failNotLocal: { en: 'Portico answers only this machine', zh: 'Portico 只应答本机' },
  failNotLocalDo: {
    en: 'It runs in local mode, and something between the two passes the request on. Open it as http://localhost on its own machine, or let people log in: portico user add NAME',
    zh: '它处于本机模式，而请求经过了转发。请在它所在的机器上用 http://localhost 打开，或者启用登录：portico user add NAME',
  },
  failNoModel: { en: 'This model does not exist here', zh: '这里没有该模型' },
  failNoModelDo: { en: 'It may have been renamed or removed. Choose another one above.', zh: '它可能已改名或移除。请在上方另选一个。' },
  failNotFound: { en: 'The server does not offer this', zh: '服务器不提供此功能' },
  failNotFoundDo: { en: 'Chat may be switched off here. Ask the operator.', zh: '这里可能关闭了对话功能。请联系管理员。' },
  failContextFull: { en: 'The conversation is too long for the model', zh: '对话长度超出模型上限' },
  failContextFullDo: {
    en: 'Start a new chat, or ask with fewer or smaller pictures.',
    zh: '请开始新对话，或减少图片的数量和大小。',
  },
  failTooLarge: { en: 'The message is too large', zh: '消息过大' },
  failTooLargeDo: { en: 'Remove pictures or shorten the text, then send it again.', zh: '请移除部分图片或缩短文字后重新发送。' },
  failTooManyImages: { en: 'Too many pictures', zh: '图片过多' },
  failTooManyImagesDo: {
    en: 'All pictures of the conversation count. Start a new chat, or send fewer.',
    zh: '对话中的所有图片都会计入。请开始新对话，或减少图片。',
  },
  failBadImage: { en: 'A picture was refused', zh: '图片被拒绝' },
  failBadImageDo: { en: 'Try another picture, or a smaller one.', zh: '请换一张或更小的图片。' },
  failNoVision: { en: 'This model cannot see pictures', zh: '此模型看不了图片' },
  failNoVisionDo: { en: 'Choose a model that can, or send text only.', zh: '请选择能看图的模型，或只发送文字。' },
  failBadRequest: { en: 'The request was refused', zh: '请求被拒绝' },
  failBadRequestDo: { en: 'The server did not accept this message as it is.', zh: '服务器没有接受这条消息。' },
  failTooOften: { en: 'Too many requests', zh: '请求过于频繁' },
  failTooOftenDo: { en: 'Wait a little, then try again.', zh: '请稍等片刻再试。' },
  failQuotaUsed: { en: 'Your allowance is used up', zh: '您的额度已用完' },
  failQuotaUsedDo: {
    en: 'It fills up again with time. Ask the operator if you need more.',
    zh: '额度会随时间恢复。如需更多，请联系管理员。',
  },
  failQueueFull: { en: 'The queue is full', zh: '队列已满' },
  failQueueFullDo: { en: 'Too many people are waiting for the model. Try again shortly.', zh: '等待使用模型的人太多。请稍后再试。' },
  failLoading: { en: 'The model is still loading', zh: '模型仍在加载' },
  failLoadingDo: { en: 'It took longer than a message can wait. Try again shortly.', zh: '加载时间超过了消息可等待的时间。请稍后再试。' },
  failBusy: { en: 'The model is not available right now', zh: '模型暂时不可用' },
  failBusyDo: { en: 'It is overloaded or being started. Try again shortly.', zh: '模型过载或正在启动。请稍后再试。' },
  failUpstream: { en: 'The model did not answer', zh: '模型没有响应' },
  failUpstreamDo: {
    en: 'The model server failed while it worked on this. Try again; if it stays so, tell the operator.',
    zh: '模型服务在处理时出错。请重试；如仍然如此，请告知管理员。',
  },
  failTimeout: { en: 'It took too long', zh: '等待超时' },
  failTimeoutDo: {
    en: 'The model did not start to answer in time. Try again, perhaps with a shorter message.',
    zh: '模型未能及时开始回答。请重试，或缩短消息。',
  },
  failInternal: { en: 'The server made a mistake', zh: '服务器内部错误' },
  failInternalDo: { en: 'Try again; if it stays so, give the operator the request number.', zh: '请重试；如仍然如此，请把请求编号告知管理员。' },
} as const satisfies Record<string, Text>;
