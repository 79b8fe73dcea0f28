using System.Collections;
using System.Management.Automation;
using System.Reflection;

namespace X86Virt.Shell.Commands.Utility;

[Cmdlet(VerbsCommon.New, "Object")]
public sealed class NewObjectCommand : PSCmdlet
{
    [Parameter(Position = 0, Mandatory = true)] public string TypeName { get; set; } = "";
    [Parameter(Position = 1), Alias("Args")] public object[] ArgumentList { get; set; } = [];
    [Parameter] public IDictionary? Property { get; set; }

    protected override void ProcessRecord()
    {
        PSObject made;
        if (string.Equals(TypeName, "PSObject", StringComparison.OrdinalIgnoreCase) || string.Equals(TypeName, "PSCustomObject", StringComparison.OrdinalIgnoreCase))
        {
            made = new PSObject();
            foreach (DictionaryEntry entry in Property ?? new Hashtable())
                made.Properties.Add(new PSNoteProperty(entry.Key.ToString(), entry.Value));
            WriteObject(made);
            return;
        }
        Type type = LanguagePrimitives.ConvertTo<Type>(TypeName);
        ScriptBlock create = ScriptBlock.Create("param($type, $list) $type::new.Invoke($list)");
        made = create.Invoke(type, ArgumentList)[0];
        foreach (DictionaryEntry entry in Property ?? new Hashtable())
            made.Properties[entry.Key.ToString()!].Value = entry.Value;
        WriteObject(made);
    }
}

[Cmdlet(VerbsCommon.Add, "Member", DefaultParameterSetName = "Type")]
public sealed class AddMemberCommand : PSCmdlet
{
    [Parameter(ValueFromPipeline = true, Mandatory = true)] public PSObject? InputObject { get; set; }
    [Parameter(ParameterSetName = "Type", Position = 0), Alias("Type")] public PSMemberTypes MemberType { get; set; } = PSMemberTypes.NoteProperty;
    [Parameter(ParameterSetName = "Type", Position = 1)] public string Name { get; set; } = "";
    [Parameter(ParameterSetName = "Type", Position = 2)] public object? Value { get; set; }
    [Parameter(ParameterSetName = "Type", Position = 3)] public object? SecondValue { get; set; }
    [Parameter(ParameterSetName = "Table", Mandatory = true, Position = 0)] public IDictionary? NotePropertyMembers { get; set; }
    [Parameter(ParameterSetName = "Note", Mandatory = true, Position = 0)] public string NotePropertyName { get; set; } = "";
    [Parameter(ParameterSetName = "Note", Mandatory = true, Position = 1), AllowNull] public object? NotePropertyValue { get; set; }
    [Parameter] public string? TypeName { get; set; }
    [Parameter] public SwitchParameter Force { get; set; }
    [Parameter] public SwitchParameter PassThru { get; set; }

    protected override void ProcessRecord()
    {
        PSObject target = InputObject!;
        if (NotePropertyMembers != null)
        {
            foreach (DictionaryEntry entry in NotePropertyMembers)
                Add(target, new PSNoteProperty(entry.Key.ToString(), entry.Value));
        }
        else if (ParameterSetName == "Note")
        {
            Add(target, new PSNoteProperty(NotePropertyName, NotePropertyValue));
        }
        else if (Name.Length > 0)
        {
            Add(target, Member());
        }
        if (TypeName != null)
            target.TypeNames.Insert(0, TypeName);
        if (PassThru)
            WriteObject(target);
    }

    private PSMemberInfo Member()
    {
        object? value = Value is PSObject wrapped ? wrapped.BaseObject : Value;
        return MemberType switch
        {
            PSMemberTypes.NoteProperty => new PSNoteProperty(Name, Value),
            PSMemberTypes.ScriptProperty => new PSScriptProperty(Name, (ScriptBlock)value!, SecondValue as ScriptBlock),
            PSMemberTypes.ScriptMethod => new PSScriptMethod(Name, (ScriptBlock)value!),
            PSMemberTypes.AliasProperty => new PSAliasProperty(Name, value!.ToString()),
            _ => throw new PSArgumentException($"Members of type {MemberType} cannot be added here; use NoteProperty, ScriptProperty, ScriptMethod or AliasProperty."),
        };
    }

    private void Add(PSObject target, PSMemberInfo member)
    {
        if (Force && target.Members[member.Name] is { IsInstance: true })
            target.Members.Remove(member.Name);
        target.Members.Add(member);
    }
}

/// <summary>What Get-Member gives.</summary>
public sealed class MemberDefinition
{
    public string TypeName { get; init; } = "";
    public string Name { get; init; } = "";
    public PSMemberTypes MemberType { get; init; }
    public string Definition { get; init; } = "";
    public override string ToString() => Definition;
}

[Cmdlet(VerbsCommon.Get, "Member")]
public sealed class GetMemberCommand : ObjectCommand
{
    private readonly HashSet<string> _seen = [];

    [Parameter(Position = 0)] public string[] Name { get; set; } = ["*"];
    [Parameter] public PSMemberTypes MemberType { get; set; } = PSMemberTypes.All;
    [Parameter] public SwitchParameter Static { get; set; }
    [Parameter] public SwitchParameter Force { get; set; }

    protected override void ProcessRecord()
    {
        if (InputObject == null || !_seen.Add(InputObject.TypeNames[0]))
            return;
        WildcardPattern[] patterns = [.. Name.Select(n => WildcardPattern.Get(n, WildcardOptions.IgnoreCase))];
        foreach (PSMemberInfo member in InputObject.Members.OrderBy(m => m.MemberType.ToString()).ThenBy(m => m.Name, StringComparer.OrdinalIgnoreCase))
        {
            bool special = member.Name.StartsWith("get_", StringComparison.Ordinal) || member.Name.StartsWith("set_", StringComparison.Ordinal);
            if ((member.MemberType & MemberType) != 0 && (Force || !special) && patterns.Any(p => p.IsMatch(member.Name)))
                WriteObject(new MemberDefinition { TypeName = InputObject.TypeNames[0], Name = member.Name, MemberType = member.MemberType, Definition = member.ToString() ?? "" });
        }
    }
}

[Cmdlet(VerbsCommon.Add, "Type", DefaultParameterSetName = "Path")]
public sealed class AddTypeCommand : PSCmdlet
{
    [Parameter(Mandatory = true, ParameterSetName = "Path", Position = 0), Alias("LiteralPath")] public string[] Path { get; set; } = [];
    [Parameter(Mandatory = true, ParameterSetName = "Name"), Alias("AN")] public string[] AssemblyName { get; set; } = [];
    [Parameter] public SwitchParameter PassThru { get; set; }

    protected override void ProcessRecord()
    {
        foreach (string path in Path)
            Emit(Assembly.LoadFrom(GetUnresolvedProviderPathFromPSPath(path)));
        foreach (string name in AssemblyName)
            Emit(Assembly.Load(name));
    }

    private void Emit(Assembly assembly)
    {
        if (PassThru)
            WriteObject(assembly.GetExportedTypes(), true);
    }
}
