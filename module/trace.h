/* SPDX-License-Identifier: GPL-2.0-only */
/* Trace events: what happens to buffers and to access, for ftrace and perf. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dmabuf_vfio_pci

#if !defined(_DVP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _DVP_TRACE_H

#include <linux/tracepoint.h>
#include "buffer.h"
#include "device.h"

DECLARE_EVENT_CLASS(dvp_device,
	TP_PROTO(const struct dvp_device *dvp, const char *reason),
	TP_ARGS(dvp, reason),
	TP_STRUCT__entry(
		__string(device, dvp->bdf)
		__string(reason, reason)
	),
	TP_fast_assign(
		__assign_str(device);
		__assign_str(reason);
	),
	TP_printk("device=%s reason=%s", __get_str(device), __get_str(reason))
);

DEFINE_EVENT(dvp_device, device_suspend,
	TP_PROTO(const struct dvp_device *dvp, const char *reason),
	TP_ARGS(dvp, reason));

DEFINE_EVENT(dvp_device, device_resume,
	TP_PROTO(const struct dvp_device *dvp, const char *reason),
	TP_ARGS(dvp, reason));

DECLARE_EVENT_CLASS(dvp_buffer,
	TP_PROTO(const struct dvp_buffer *buffer),
	TP_ARGS(buffer),
	TP_STRUCT__entry(
		__string(device, buffer->dvp->bdf)
		__field(u8, bar)
		__field(bool, slice)
		__field(u64, first)
		__field(u64, size)
		__field(u32, runs)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->bar = buffer->bar;
		__entry->slice = dvp_buffer_is_slice(buffer);
		__entry->first = buffer->base_page << PAGE_SHIFT;
		__entry->size = buffer->ranges.nr_pages << PAGE_SHIFT;
		__entry->runs = buffer->ranges.nr_runs;
	),
	TP_printk("device=%s bar=%u kind=%s offset=0x%llx size=0x%llx runs=%u",
		  __get_str(device), __entry->bar,
		  __entry->slice ? "slice" : "bar", __entry->first,
		  __entry->size, __entry->runs)
);

DEFINE_EVENT(dvp_buffer, buffer_export,
	TP_PROTO(const struct dvp_buffer *buffer), TP_ARGS(buffer));

DEFINE_EVENT(dvp_buffer, buffer_revoke,
	TP_PROTO(const struct dvp_buffer *buffer), TP_ARGS(buffer));

DEFINE_EVENT(dvp_buffer, buffer_release,
	TP_PROTO(const struct dvp_buffer *buffer), TP_ARGS(buffer));

TRACE_EVENT(buffer_mmap,
	TP_PROTO(const struct dvp_buffer *buffer,
		 const struct vm_area_struct *vma),
	TP_ARGS(buffer, vma),
	TP_STRUCT__entry(
		__string(device, buffer->dvp->bdf)
		__field(u8, bar)
		__field(bool, slice)
		__field(u64, offset)
		__field(unsigned long, start)
		__field(unsigned long, end)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->bar = buffer->bar;
		__entry->slice = dvp_buffer_is_slice(buffer);
		__entry->offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
		__entry->start = vma->vm_start;
		__entry->end = vma->vm_end;
	),
	TP_printk("device=%s bar=%u kind=%s offset=0x%llx addr=0x%lx size=0x%lx",
		  __get_str(device), __entry->bar,
		  __entry->slice ? "slice" : "bar", __entry->offset,
		  __entry->start, __entry->end - __entry->start)
);

TRACE_EVENT(buffer_fault,
	TP_PROTO(const struct dvp_buffer *buffer, unsigned long pfn,
		 unsigned long nr, unsigned int order, vm_fault_t result),
	TP_ARGS(buffer, pfn, nr, order, result),
	TP_STRUCT__entry(
		__string(device, buffer->dvp->bdf)
		__field(u8, bar)
		__field(u64, offset)
		__field(unsigned long, pages)
		__field(unsigned int, order)
		__field(unsigned int, result)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->bar = buffer->bar;
		__entry->offset = (u64)(pfn - buffer->bar_pfn) << PAGE_SHIFT;
		__entry->pages = nr << order;
		__entry->order = order;
		__entry->result = (__force unsigned int)result;
	),
	TP_printk("device=%s bar=%u offset=0x%llx pages=%lu order=%u result=0x%x",
		  __get_str(device), __entry->bar, __entry->offset,
		  __entry->pages, __entry->order, __entry->result)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
