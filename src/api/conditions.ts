// Promises: a list of conditions in which each type stands once, in a fixed order, and whose transition time moves only
// when the status does. Pure. https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties
import type { Condition } from './meta.ts';
import { CONDITION_TYPES, type ConditionType } from './names.ts';

/** A condition as the decision makes it; times and generation are added here. An absent one means False. */
export interface WantedCondition {
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

/** Longest message that the schema of metav1.Condition takes, in characters. */
const MAX_MESSAGE_LENGTH = 32_768;

/**
 * The new list.
 * @param previous what is in status; conditions of types that are not ours stay.
 * @param nowTime RFC 3339
 */
export function setConditions(
  previous: readonly Condition[],
  wanted: Readonly<Partial<Record<ConditionType, WantedCondition>>>,
  stamp: { readonly nowTime: string; readonly observedGeneration: number },
): Condition[] {
  const types = Object.keys(CONDITION_TYPES) as ConditionType[];
  const ours = types.flatMap((type): Condition[] => {
    const want = wanted[type];
    if (want === undefined) {
      return [];
    }
    const before = previous.find((condition) => condition.type === type);
    return [
      {
        type,
        status: want.status,
        observedGeneration: stamp.observedGeneration,
        lastTransitionTime: before?.status === want.status ? before.lastTransitionTime : stamp.nowTime,
        reason: want.reason,
        message: want.message.slice(0, MAX_MESSAGE_LENGTH).toWellFormed(),
      },
    ];
  });
  const others = previous.filter((condition) => !Object.hasOwn(CONDITION_TYPES, condition.type));
  return [...ours, ...others];
}
