/**
 * HTTP statuses by name: `@std/http/status` with its official types, over the
 * untyped copy of the same code on npm.
 *
 * @module
 */
import * as untyped from "deno-std/http/status.js";

/** Every status: its name, number and reason phrase. */
interface Statuses {
  Continue: [100, "Continue"];
  SwitchingProtocols: [101, "Switching Protocols"];
  Processing: [102, "Processing"];
  EarlyHints: [103, "Early Hints"];
  OK: [200, "OK"];
  Created: [201, "Created"];
  Accepted: [202, "Accepted"];
  NonAuthoritativeInfo: [203, "Non Authoritative Info"];
  NoContent: [204, "No Content"];
  ResetContent: [205, "Reset Content"];
  PartialContent: [206, "Partial Content"];
  MultiStatus: [207, "Multi Status"];
  AlreadyReported: [208, "Already Reported"];
  IMUsed: [226, "IM Used"];
  MultipleChoices: [300, "Multiple Choices"];
  MovedPermanently: [301, "Moved Permanently"];
  Found: [302, "Found"];
  SeeOther: [303, "See Other"];
  NotModified: [304, "Not Modified"];
  UseProxy: [305, "Use Proxy"];
  TemporaryRedirect: [307, "Temporary Redirect"];
  PermanentRedirect: [308, "Permanent Redirect"];
  BadRequest: [400, "Bad Request"];
  Unauthorized: [401, "Unauthorized"];
  PaymentRequired: [402, "Payment Required"];
  Forbidden: [403, "Forbidden"];
  NotFound: [404, "Not Found"];
  MethodNotAllowed: [405, "Method Not Allowed"];
  NotAcceptable: [406, "Not Acceptable"];
  ProxyAuthRequired: [407, "Proxy Auth Required"];
  RequestTimeout: [408, "Request Timeout"];
  Conflict: [409, "Conflict"];
  Gone: [410, "Gone"];
  LengthRequired: [411, "Length Required"];
  PreconditionFailed: [412, "Precondition Failed"];
  ContentTooLarge: [413, "Content Too Large"];
  URITooLong: [414, "URI Too Long"];
  UnsupportedMediaType: [415, "Unsupported Media Type"];
  RangeNotSatisfiable: [416, "Range Not Satisfiable"];
  ExpectationFailed: [417, "Expectation Failed"];
  Teapot: [418, "I'm a teapot"];
  MisdirectedRequest: [421, "Misdirected Request"];
  UnprocessableEntity: [422, "Unprocessable Entity"];
  Locked: [423, "Locked"];
  FailedDependency: [424, "Failed Dependency"];
  TooEarly: [425, "Too Early"];
  UpgradeRequired: [426, "Upgrade Required"];
  PreconditionRequired: [428, "Precondition Required"];
  TooManyRequests: [429, "Too Many Requests"];
  RequestHeaderFieldsTooLarge: [431, "Request Header Fields Too Large"];
  UnavailableForLegalReasons: [451, "Unavailable For Legal Reasons"];
  InternalServerError: [500, "Internal Server Error"];
  NotImplemented: [501, "Not Implemented"];
  BadGateway: [502, "Bad Gateway"];
  ServiceUnavailable: [503, "Service Unavailable"];
  GatewayTimeout: [504, "Gateway Timeout"];
  HTTPVersionNotSupported: [505, "HTTP Version Not Supported"];
  VariantAlsoNegotiates: [506, "Variant Also Negotiates"];
  InsufficientStorage: [507, "Insufficient Storage"];
  LoopDetected: [508, "Loop Detected"];
  NotExtended: [510, "Not Extended"];
  NetworkAuthenticationRequired: [511, "Network Authentication Required"];
}
type Name = keyof Statuses;
type Starting<Digit extends 4 | 5, Code = StatusCode> = Code extends number
  ? `${Code}` extends `${Digit}${string}` ? Code : never
  : never;

/** The number of each named status. */
export const STATUS_CODE: { readonly [K in Name]: Statuses[K][0] } = untyped.STATUS_CODE;

/** The reason phrase of each number. */
export const STATUS_TEXT: {
  readonly [K in Name as Statuses[K][0]]: Statuses[K][1];
} = untyped.STATUS_TEXT;

/** The number of any named status. */
export type StatusCode = Statuses[Name][0];

/** The number of an error; the official type leaves 425 (Too Early) out. */
export type ErrorStatus = Exclude<Starting<4 | 5>, 425>;
