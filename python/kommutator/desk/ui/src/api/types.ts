/** The API's own words for what pages show. */

import type { components } from "./schema";

type Schemas = components["schemas"];

export type Client = Schemas["Client"];
export type ClientBrief = Schemas["ClientBrief"];
export type ClientForm = Schemas["ClientForm"];
export type EnquiryForm = Schemas["EnquiryForm"];
export type Interest = Schemas["Interest"];
export type InterestStatus = Interest["status"];
export type Interaction = Schemas["Interaction"];
export type Employee = Schemas["Employee"];
export type Department = Schemas["Department"];
export type ServiceType = Schemas["ServiceType"];
export type Call = Schemas["Call"];
export type Recording = Schemas["Recording"];
export type Finding = Schemas["Finding"];
export type Report = Schemas["Report"];
export type Notice = Schemas["Notice"];
export type User = Schemas["User"];
export type Me = Schemas["Me"];
export type Role = Me["role"];
export type MissedCall = Schemas["MissedCall"];
export type Task = Schemas["Task"];
export type ClientCard = Schemas["ClientCard"];
export type CallStory = Schemas["CallStory"];
export type SoftphoneAccount = Schemas["SoftphoneAccount"];
export type Token = Schemas["Token"];
