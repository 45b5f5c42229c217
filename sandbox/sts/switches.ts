// Promises: the ways in which every STS of the sandbox can be told to misbehave, and how long. It decides when a fault hits,
// not how a cloud words it.

/** What everybody gets instead of an answer, until it is switched back to `none`. */
export type SwitchMode =
  | 'none'
  /** 503 in the cloud's own words. */
  | 'outage'
  /** The cloud's own refusal of too many calls. */
  | 'throttle'
  /** The refusal that Switches.refusal says. */
  | 'refuse'
  /** No answer until the client goes. */
  | 'hang'
  /** The connection ends without an answer. */
  | 'reset'
  /** An HTML page with 502, as from a load balancer. */
  | 'html'
  /** An HTML page with 200, as from a captive portal. */
  | 'html200'
  | 'empty200'
  /** 200 with the cloud's own error body. */
  | 'errorBody200'
  /** 200 in the cloud's own form, with three empty credentials. */
  | 'emptyCredentials'
  /** 50 MB that never end up as an answer. */
  | 'hugeBody'
  /** A credential that ended a minute ago. */
  | 'pastExpiry'
  /** A credential that ends an hour after what was asked. */
  | 'farExpiry'
  /** The true answer, cut in the middle. */
  | 'truncated'
  /** The true answer, late by slowMs. */
  | 'slow'
  /** The true answer, one character each slowMs. */
  | 'slowDrip';

/** A refusal to force. */
export interface ForcedRefusal {
  readonly code: string;
  readonly httpStatus: number;
  readonly message: string;
}

/** The switches; `times` left without end when undefined. */
export interface Switches {
  mode: SwitchMode;
  /** How many more calls it hits; then the mode is `none` again. */
  times?: number | undefined;
  /** The one action that it hits; every one when undefined. */
  only?: string | undefined;
  /** What the mode `refuse` answers. */
  refusal?: ForcedRefusal | undefined;
  /** Caps sessions from now on, in place of the service's own option. */
  maxSessionSeconds?: number | undefined;
  slowMs: number;
  /** Moves the server's whole clock: what it believes of tokens and signatures, and every time that it writes. */
  clockSkewMs: number;
  /** Moves only the Date header. */
  dateSkewMs: number;
  /** Told in the cloud's own header when it throttles. */
  retryAfterSeconds?: number | undefined;
}

/** Nothing switched. */
export function newSwitches(): Switches {
  return { mode: 'none', slowMs: 2000, clockSkewMs: 0, dateSkewMs: 0 };
}

/** The mode for the next call, which is counted. */
export function nextMode(switches: Switches, action: string): SwitchMode {
  const { mode, times, only } = switches;
  if (only !== undefined && only !== action) return 'none';
  if (times === undefined) return mode;
  switches.times = times > 1 ? times - 1 : undefined;
  if (times <= 1) switches.mode = 'none';
  return times > 0 ? mode : 'none';
}
