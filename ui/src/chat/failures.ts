import type { PlainKey } from '../i18n.ts';
import type { FailureKind } from '../lib/failure.ts';

/** The words for each kind: what happened, and what to do now. */
export const failureTexts: Record<FailureKind, { title: PlainKey; advice: PlainKey }> = {
  offline: { title: 'failOffline', advice: 'failOfflineDo' },
  network: { title: 'failNetwork', advice: 'failNetworkDo' },
  cut: { title: 'failCut', advice: 'failCutDo' },
  silent: { title: 'failSilent', advice: 'failSilentDo' },
  garbled: { title: 'failGarbled', advice: 'failGarbledDo' },
  signedOut: { title: 'failSignedOut', advice: 'failSignedOutDo' },
  forbidden: { title: 'failForbidden', advice: 'failForbiddenDo' },
  networkRefused: { title: 'failNetworkRefused', advice: 'failNetworkRefusedDo' },
  httpsRequired: { title: 'failHttpsRequired', advice: 'failHttpsRequiredDo' },
  notLocal: { title: 'failNotLocal', advice: 'failNotLocalDo' },
  noModel: { title: 'failNoModel', advice: 'failNoModelDo' },
  notFound: { title: 'failNotFound', advice: 'failNotFoundDo' },
  contextFull: { title: 'failContextFull', advice: 'failContextFullDo' },
  tooLarge: { title: 'failTooLarge', advice: 'failTooLargeDo' },
  tooManyImages: { title: 'failTooManyImages', advice: 'failTooManyImagesDo' },
  badImage: { title: 'failBadImage', advice: 'failBadImageDo' },
  noVision: { title: 'failNoVision', advice: 'failNoVisionDo' },
  badRequest: { title: 'failBadRequest', advice: 'failBadRequestDo' },
  tooOften: { title: 'failTooOften', advice: 'failTooOftenDo' },
  quotaUsed: { title: 'failQuotaUsed', advice: 'failQuotaUsedDo' },
  queueFull: { title: 'failQueueFull', advice: 'failQueueFullDo' },
  loading: { title: 'failLoading', advice: 'failLoadingDo' },
  busy: { title: 'failBusy', advice: 'failBusyDo' },
  upstream: { title: 'failUpstream', advice: 'failUpstreamDo' },
  timeout: { title: 'failTimeout', advice: 'failTimeoutDo' },
  internal: { title: 'failInternal', advice: 'failInternalDo' },
};
